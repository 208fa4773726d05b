# Sourced by the command-line tests with the program's path in $1 and the source folder in $2.
actune=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run PYTHONPATH=$source/tests/cli
mkdir -m 700 "$XDG_CACHE_HOME" "$XDG_DATA_HOME" "$XDG_RUNTIME_DIR"
cd "$work" || exit 1
failures=0
# ok WHAT COMMAND...: the command must succeed; its output is shown when it does not.
ok() {
    local what=$1
    shift
    "$@" >"$work/out" 2>"$work/err" && return 0
    echo "FAILED: $what (status $?): $*"; cat "$work/out" "$work/err"; failures=$((failures + 1))
    return 1
}
# refused STATUS PATTERN COMMAND...: must exit with STATUS and say PATTERN (an extended regular expression) on stderr.
refused() {
    local status=$1 pattern=$2 got
    shift 2
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -qE -- "$pattern" "$work/err"; then
        echo "FAILED: wanted status $status and '$pattern', got $got: $*"; cat "$work/out" "$work/err"; failures=$((failures + 1))
    fi
}
finish() {
    [ "$failures" -eq 0 ] && echo "all as expected"
    exit $((failures > 0))
}
