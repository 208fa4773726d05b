#!/usr/bin/env bash
# Installs the build into a temporary folder and uses it as a stranger would: the program; a CMake project and plain cc with
# pkg-config, each with the static and with the shared libraries; the header from C++. Looks at what the shared libraries export and need.
# Arguments: the program, the source folder, the build folder.
set -u
build=$3
. "$2/tests/cli/lib.sh"
prefix=$work/prefix
quick=$source/examples/quick.c
project=$source/tests/consumer/project

# The compiler of the build; its flags too, since sanitized libraries want sanitized programs.
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
CC=$(cached CMAKE_C_COMPILER) CFLAGS=$(cached CMAKE_C_FLAGS)
export CC CFLAGS
read -ra cflags <<<"$CFLAGS"
case $CFLAGS in *-fsanitize*) sanitized=1 ;; *) sanitized=0 ;; esac

ok "install" cmake --install "$build" --prefix "$prefix" || finish
libdir=$(dirname "$(find "$prefix" -name libactune.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
unset LD_LIBRARY_PATH

# says PATTERN FILE WHAT: the file, which is WHAT, must have a line like it.
says() {
    grep -qE -- "$1" "$2" && return 0
    echo "FAILED: no '$1' in $3:"; cat "$2"; failures=$((failures + 1))
}
# linked KIND PROGRAM: whether the program loads libactune must fit the kind.
linked() {
    local count
    count=$(ldd "$2" | grep -c 'libactune')
    case $1:$count in static:0 | shared:1) return 0 ;; esac
    echo "FAILED: $2 should be linked $1:"; ldd "$2"; failures=$((failures + 1))
}
# programs KIND QUICK STATUS: both must be linked that way, run, and print what they are for.
programs() {
    linked "$1" "$2"
    linked "$1" "$3"
    ok "$1 $2" "$2" && says '^gelu_tanh.*\) = 6 ' "$work/out" "the output of $2 ($1)"
    ok "$1 $3" "$3" && says '^NOT_FOUND$' "$work/out" "the output of $3 ($1)"
}

test_program() {
    ok "installed program" "$prefix/bin/actune" ops && says 'gelu_tanh' "$work/out" "actune ops"
}

# watched KIND PROGRAM: the TensorBoard writer.
watched() {
    linked "$1" "$2"
    ok "$1 $2" "$2" "$work/runs" && says 'events\.out\.tfevents' "$work/out" "the output of $2 ($1)"
}
has_monitor() { [ -f "$libdir/libactune_monitor.a" ]; }

test_cmake() { # KIND
    local folder=$work/cmake-$1 shared=OFF
    [ "$1" = shared ] && shared=ON
    ok "cmake project, $1" cmake -S "$project" -B "$folder" "-DCMAKE_PREFIX_PATH=$prefix" "-DQUICK_SOURCE=$quick" \
        "-DBUILD_SHARED_LIBS=$shared" || return
    ok "cmake build, $1" cmake --build "$folder" || return
    programs "$1" "$folder/quick" "$folder/status"
    if has_monitor; then watched "$1" "$folder/watch"; fi
}

# compile KIND PACKAGE SOURCE OUTPUT: as `cc SOURCE $(pkg-config ...)`. The linker prefers shared libraries, so static asks for the archive.
compile() {
    local flags
    if [ "$1" = static ]; then
        flags=$(pkg-config --cflags --libs --static "$2" | sed "s/-l$2\b/-l:lib$2.a/")
    else
        flags=$(pkg-config --cflags --libs "$2")
    fi
    # shellcheck disable=SC2086  # flags are words
    ok "pkg-config $1 $2" "$CC" "${cflags[@]}" -std=gnu11 -Wall -Wextra -Werror "$3" -o "$4" $flags -pthread
}

test_pkg_config() { # KIND
    command -v pkg-config >/dev/null || { echo "no pkg-config: skipped"; return; }
    compile "$1" actune "$quick" "$work/quick-$1" && compile "$1" actune_runtime "$project/status.c" "$work/status-$1" || return
    [ "$1" = shared ] && export LD_LIBRARY_PATH=$libdir
    programs "$1" "$work/quick-$1" "$work/status-$1"
    if has_monitor; then compile "$1" actune_monitor "$project/watch.c" "$work/watch-$1" && watched "$1" "$work/watch-$1"; fi
    unset LD_LIBRARY_PATH
}

test_cplusplus() {
    local cxx=
    for name in c++ g++ clang++; do
        command -v "$name" >/dev/null && cxx=$name && break
    done
    [ -n "$cxx" ] || { echo "no C++ compiler: skipped"; return; }
    printf '%s\n' '#include <actune/actune.h>' '#include <actune/dlpack.h>' "$(has_monitor && echo '#include <actune/monitor.h>')" 'int main() { return actune_last_error()[0] != 0; }' >"$work/header.cpp"
    ok "header as C++" "$cxx" "${cflags[@]}" -std=c++11 -Wall -Wextra -pedantic -Werror -I"$prefix/include" "$work/header.cpp" -o "$work/header" \
        "$libdir/libactune_runtime.a" -pthread -ldl && ok "C++ program" "$work/header"
}

test_symbols() {
    local library strange
    for library in libactune libactune_runtime; do
        nm -D --defined-only "$libdir/$library.so" | awk '{print $3}' >"$work/symbols"
        says '^actune_status_name$' "$work/symbols" "$library.so"
        strange=$(grep -v '^actune_' "$work/symbols") && { echo "FAILED: $library.so exports" $strange; failures=$((failures + 1)); }
    done
    strange=$(ldd "$libdir/libactune_runtime.so" | grep -vE '(linux-vdso|libc|libm|ld-linux[a-z0-9_-]*)\.so') &&
        { echo "FAILED: libactune_runtime.so needs more than libc: $strange"; failures=$((failures + 1)); }
    nm -D --defined-only "$libdir/libactune.so" | awk '{print $3}' | sort >"$work/symbols"
    grep -hoE '\bactune_[a-z_]+\(' "$prefix/include/actune/actune.h" "$prefix/include/actune/dlpack.h" | tr -d '(' | sort -u >"$work/declared"
    ok "libactune.so exports what the headers declare, and nothing else" diff "$work/declared" "$work/symbols"
}

test_monitor_symbols() {
    local strange
    nm -D --defined-only "$libdir/libactune_monitor.so" | awk '{print $3}' | sort >"$work/symbols"
    grep -oE '\bactune_monitor_[a-z_]+\(' "$prefix/include/actune/monitor.h" | tr -d '(' | sort -u >"$work/declared"
    ok "libactune_monitor.so exports what its header declares, and nothing else" diff "$work/declared" "$work/symbols"
    strange=$(ldd "$libdir/libactune_monitor.so" | grep -vE '(linux-vdso|libc|libm|ld-linux[a-z0-9_-]*|libprotobuf-c)\.so')
    [ -z "$strange" ] || { echo "FAILED: libactune_monitor.so needs more than libc and protobuf-c: $strange"; failures=$((failures + 1)); }
    strange=$(ldd "$libdir/libactune.so" "$prefix/bin/actune" | grep protobuf)
    [ -z "$strange" ] || { echo "FAILED: something else needs protocol buffers: $strange"; failures=$((failures + 1)); }
}

test_program
for kind in static shared; do
    test_cmake "$kind"
    test_pkg_config "$kind"
done
test_cplusplus
[ "$sanitized" = 1 ] || test_symbols
[ "$sanitized" = 1 ] || ! has_monitor || test_monitor_symbols
finish
