# Sourced by the other scripts: need_packages NAME... installs the Debian packages that are missing, with apt.
need_packages() {
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "these packages are missing, and there is no sudo: ${missing[*]}" >&2; return 1; }
        sudo=(sudo)
    fi
    echo "installing: ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# What the library and the program are built with. clang compiles the generated kernels (gcc does too, where clang is missing).
build_packages=(cmake ninja-build gcc libc6-dev clang libclang1 libsqlite3-dev libxxhash-dev libjansson-dev)
# What libactune_monitor is built with, where it is wanted.
monitor_packages=(libprotobuf-c-dev protobuf-c-compiler)
