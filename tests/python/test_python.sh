#!/usr/bin/env bash
# The Python package on the library of a build: its structures, its tests with every interpreter that has NumPy, PyTorch where one has it.
# Arguments: the program (not used), the source folder, the build folder. Exit status 77 where no interpreter has NumPy.
set -u
source=$2 build=$3
grep -q '^CMAKE_C_FLAGS:.*-fsanitize' "$build/CMakeCache.txt" && { echo "a sanitized library does not load into an interpreter: skipped"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ACTUNE_LIBRARY=$build/libactune.so PYTHONPATH=$source/python/src PYTHONDONTWRITEBYTECODE=1
export XDG_CACHE_HOME=$work/cache ACTUNE_DB=$work/none.db
mkdir -m 700 "$XDG_CACHE_HOME"

failures=0
ran=0
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
"$compiler" -I"$source/runtime/include" "$source/tests/python/abi.c" -o "$work/abi" && "$work/abi" >"$work/abi.txt" || exit 1
run() { # WORDS...: shows the output of what fails
    "$@" >"$work/out" 2>&1 && return 0
    echo "FAILED: $*"
    cat "$work/out"
    failures=$((failures + 1))
}
tried=
for python in /usr/bin/python3 python3 ${ACTUNE_TEST_PYTHON:-}; do
    "$python" -c 'import numpy' 2>/dev/null || continue
    path=$("$python" -c 'import sys; print(sys.executable)')
    case " $tried " in *" $path "*) continue ;; esac
    tried="$tried $path"
    ran=$((ran + 1))
    run "$python" "$source/tests/python/test_abi.py" <"$work/abi.txt"
    run "$python" "$source/python/tests/test_arrays.py"
    if "$python" -c 'import torch' 2>/dev/null; then
        run "$python" "$source/python/tests/test_torch.py"
        echo "$("$python" -c 'import torch; print("torch", torch.__version__)') under $("$python" -V)"
    fi
done
[ "$ran" -gt 0 ] || { echo "no interpreter has NumPy: skipped"; exit 77; }
[ "$failures" -eq 0 ]
