#!/usr/bin/env bash
# The program on the fake driver: devices, apply, tune; without a driver; and with every call of the driver and of NVRTC failing in turn.
build=$3
. "$(dirname "$0")/../cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so
export ACTUNE_FAKE_CACHE=$work/objects ACTUNE_FAKE_REPORT=$work/report ACTUNE_FAKE_DEVICES=2 ACTUNE_FAKE_ARCH=90,80
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigtrap=0
mkdir "$work/objects"

# clean WHAT: no mistake of the program and nothing left behind.
clean() {
    [ ! -s "$work/report" ] && return
    echo "FAILED: $1:"; cat "$work/report"; failures=$((failures + 1)); rm -f "$work/report"
}

python3 - <<'P'
import npy, random
random.seed(1)
npy.write("x.npy", [random.gauss(0, 3) for _ in range(1000)])
npy.write("xh.npy", [random.gauss(0, 3) for _ in range(1000)], descr="<f2")
npy.write("x4.npy", [random.gauss(0, 3) for _ in range(2 * 3 * 5 * 7)], (2, 3, 5, 7))
npy.write("b3.npy", [0.5, -1.0, 2.0])
npy.write("b7.npy", [0.1 * i for i in range(7)])
npy.write("dy.npy", [random.gauss(0, 1) for _ in range(1000)])
npy.write("dy4.npy", [random.gauss(0, 1) for _ in range(2 * 3 * 5 * 7)], (2, 3, 5, 7))
npy.write("empty.npy", [], (0, 3))
P
cat >same.py <<'P'
import npy, sys
a, b = npy.read(sys.argv[1]), npy.read(sys.argv[2])
assert a[1] == b[1], (a[1], b[1])
for i, (x, y) in enumerate(zip(a[0], b[0])):
    assert abs(x - y) <= float(sys.argv[3]) * max(1, abs(x)), (i, x, y)
P

# both WHAT TOLERANCE ARGUMENTS...: apply on the CPU and on a device; y.npy (and db.npy) must agree.
both() {
    local what=$1 tolerance=$2
    shift 2
    rm -f y.npy db.npy
    ok "$what, CPU" "$actune" apply "$@" --output y.npy || return
    mv y.npy y-cpu.npy
    [ -f db.npy ] && mv db.npy db-cpu.npy
    for device in cuda:0 cuda:1; do
        ok "$what, $device" "$actune" apply "$@" --output y.npy --device $device || return
        ok "$what: values of $device" python3 same.py y-cpu.npy y.npy "$tolerance"
        [ -f db.npy ] && ok "$what: gradients of $device" python3 same.py db-cpu.npy db.npy 1e-4
        clean "$what, $device"
    done
}

# --- devices and values ---
ok 'devices' "$actune" devices
ok 'both devices are listed' grep -q 'Fake GPU 80' "$work/out"
ok 'devices, JSON' "$actune" devices --json
ok 'its devices' python3 - "$work/out" <<'P'
import json, sys
text = json.dumps(json.load(open(sys.argv[1])))
assert "cuda" in text and "Fake GPU 90" in text and "cpu" in text, text
P
clean 'devices'
both 'forward' 1e-5 'gelu_tanh | clip(-6, 6)' --input x.npy
both 'backward' 1e-4 'gelu_tanh | clip(-6, 6)' --backward --input x.npy --grad dy.npy
both 'f16' 2e-3 silu --input xh.npy
both 'NCHW' 1e-5 'bias | silu' --input x4.npy --operand bias=b3.npy --layout nchw
both 'NHWC' 1e-5 'bias | silu' --input x4.npy --operand bias=b7.npy --layout nhwc
both 'bias gradient, NCHW' 1e-4 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b3.npy --grad-of bias=db.npy --layout nchw
both 'bias gradient, NHWC' 1e-4 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b7.npy --grad-of bias=db.npy --layout nhwc
both 'nothing' 0 relu --input empty.npy
refused 1 'cuda:5' "$actune" apply relu --input x.npy --output y.npy --device cuda:5
clean 'a device that is not there'

# --- without a driver, or without NVRTC ---
no_driver() { ACTUNE_LIBCUDA=/nowhere/libcuda.so.1 "$@"; }
ok 'devices without a driver' no_driver "$actune" devices
refused 1 'ACTUNE_LIBCUDA names /nowhere' no_driver "$actune" apply relu --input x.npy --output y.npy --device cuda:0
no_nvrtc() { ACTUNE_NVRTC=/nowhere/libnvrtc.so XDG_CACHE_HOME=$work/none "$@"; }
mkdir -m 700 "$work/none"
refused 1 'ACTUNE_NVRTC names /nowhere' no_nvrtc "$actune" apply relu --input x.npy --output y.npy --device cuda:0
clean 'without NVRTC'

# --- tuning, and what was won is used ---
tune=("$actune" tune 'bias | relu' --device cuda:0 --sizes 4K --budget 3 --strategy random --seed 1)
if ok 'tune' "${tune[@]}"; then
    clean 'tune'
    ok 'the database is in order' "$actune" db check
    ok 'a winner of the device' "$actune" show --all-devices
    ok 'is shown' grep -q 'cuda' "$work/out"
fi

# --- every call fails in turn ---
# fail_each KIND SYMBOLS COMMAND...: the first and the third call of each that COMMAND makes.
fail_each() {
    local kind=$1 trace=$work/trace name nth status count
    shift
    rm -f "$trace"
    ACTUNE_FAKE_TRACE=$trace "$@" >/dev/null 2>&1
    for name in $(sort -u "$trace"); do
        count=$(grep -cx "$name" "$trace")
        for nth in 1 3; do
            [ "$nth" -gt "$count" ] && continue
            [ "$kind" = fresh ] && rm -rf "$XDG_CACHE_HOME"/*
            case $name in nvrtc*) code=1 ;; *) code=999 ;; esac
            ACTUNE_FAKE_FAIL=$name:$nth:$code "$@" >"$work/out" 2>"$work/err"
            status=$?
            faults=$((faults + 1))
            if [ "$status" -gt 1 ] || { [ "$status" -eq 1 ] && ! grep -q "$name" "$work/err"; }; then
                echo "FAILED: call $nth of $name fails, status $status: $*"; cat "$work/err"; failures=$((failures + 1))
            fi
            grep -v 'left behind: 1 x primary context' "$work/report" >"$work/rest" 2>/dev/null
            case $name in cuCtxPush*) rm -f "$work/report" ;; esac # nothing can be given back without a context
            clean "call $nth of $name fails"
        done
    done
}
faults=0
apply=("$actune" apply 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b3.npy --grad-of bias=db.npy --layout nchw
    --output y.npy --device cuda:0)
fail_each warm "${apply[@]}"
fail_each fresh "${apply[@]}"
fail_each warm "$actune" devices
ok 'after all failures' "${apply[@]}"
ok 'the right gradient' python3 same.py db-cpu.npy db.npy 1e9
fail_each warm "${tune[@]}"
ok 'the database is in order after all failures' "$actune" db check
echo "$faults calls failed"
finish
