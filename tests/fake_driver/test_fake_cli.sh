#!/usr/bin/env bash
# The program on the fake driver, but for tune: devices, doctor, apply, verify, bench; without a driver or NVRTC; and with calls failing in turn.
build=$3
. "$(dirname "$0")/../cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so ACTUNE_CUDNN=none
export ACTUNE_FAKE_CACHE=$work/objects ACTUNE_FAKE_REPORT=$work/report ACTUNE_FAKE_DEVICES=2 ACTUNE_FAKE_ARCH=90,80
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigtrap=0
mkdir "$work/objects"

# run WHAT COMMAND...: as ok, and what it printed is kept for the checks after it, in shown and shown.err.
run() {
    ok "$@"
    local status=$?
    cp out shown; cp err shown.err
    return $status
}

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
    ok "$what, GPU" "$actune" apply "$@" --output y.npy --device cuda:0 || return
    ok "$what: values of the GPU" python3 same.py y-cpu.npy y.npy "$tolerance"
    [ -f db.npy ] && ok "$what: gradients of the GPU" python3 same.py db-cpu.npy db.npy 1e-4
    clean "$what"
}

# --- init: the CPU's bits ---
for dtype in f32 f16; do
    ok "init $dtype, CPU" "$actune" init kaiming-normal --shape 7,5,3 --seed 5 --dtype $dtype --output w-cpu.npy
    ok "init $dtype, GPU" "$actune" init kaiming-normal --shape 7,5,3 --seed 5 --dtype $dtype --output w.npy --device cuda:0
    ok "init $dtype: same bits" cmp w-cpu.npy w.npy
    clean "init $dtype"
done

# --- devices and doctor ---
run 'devices' "$actune" devices
ok 'both devices are listed' grep -q 'cuda:1  Fake GPU 80' shown
run 'devices, JSON' "$actune" devices --json
ok 'its devices' python3 - shown <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))
assert [r["name"] for r in rows] == ["cpu", "cuda:0", "cuda:1"], rows
assert rows[1]["capability"] == "sm_90" and rows[2]["capability"] == "sm_80" and rows[1]["processors"] > 0, rows
P
clean 'devices'
run 'doctor' "$actune" doctor --json
ok 'its checks' python3 - shown <<'P'
import json, sys
found = {r["check"]: r for r in json.load(open(sys.argv[1]))}
for name in ("cuda:0", "cuda:1", "nvrtc", "run cuda:0", "run cuda:1"):
    assert found[name]["verdict"] == "ok", found[name]
assert found["cudnn"]["verdict"] == "none" and "ACTUNE_CUDNN" in found["cudnn"]["detail"], found["cudnn"]
P
clean 'doctor'

# --- values ---
both 'forward' 1e-5 'gelu_tanh | clip(-6, 6)' --input x.npy
both 'backward' 1e-4 'gelu_tanh | clip(-6, 6)' --backward --input x.npy --grad dy.npy
both 'f16' 2e-3 silu --input xh.npy
both 'f32 to f16' 2e-3 silu --input x.npy --dtype f32:f16
both 'NCHW' 1e-5 'bias | silu' --input x4.npy --operand bias=b3.npy --layout nchw
both 'bias gradient, NHWC' 1e-4 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b7.npy --grad-of bias=db.npy --layout nhwc
both 'nothing' 0 relu --input empty.npy
run 'the other device' "$actune" apply relu --input x.npy --output y.npy --device cuda:1 --explain
ok 'its kernel' grep -q 'cuda/elementwise' shown.err
cp y.npy kept.npy
ok 'clip-grads, CPU' "$actune" clip-grads x.npy dy.npy empty.npy --max-norm 2 --output-dir clipped-cpu
run 'clip-grads, GPU' "$actune" clip-grads x.npy dy.npy empty.npy --max-norm 2 --output-dir clipped-gpu --device cuda:0 --json
ok 'they agree' python3 same.py clipped-cpu/x.npy clipped-gpu/x.npy 1e-6
run 'by value, GPU' "$actune" clip-grads x.npy --value 0.5 --output-dir clipped-gpu --device cuda:0
clean 'clip-grads'
refused 1 'cuda:5' "$actune" apply relu --input x.npy --output y.npy --device cuda:5
refused 1 'b3.npy has 3 elements' "$actune" apply 'bias | silu' --input x4.npy --operand bias=b3.npy --layout nhwc --output y.npy --device cuda:0
ok 'the old file is whole' cmp kept.npy y.npy
clean 'refusals'

# --- verify ---
run 'verify' "$actune" verify 'bias | relu' --device cuda:0 --variants --most 6 --json
ok 'its rows' python3 - shown <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))
assert len(rows) == 24 and all(r["passed"] and r["variant"].startswith("cuda/") and r["compared"] > 0 for r in rows), rows
assert len({(r["direction"], r["layout"], r["variant"]) for r in rows}) == 24
P
run 'verify, one variant' "$actune" verify gelu --device cuda:1 --direction forward --knob block=64
ok 'it is that one' grep -q 'block=64' shown
# In place, where the text does not promise that nothing overlaps.
for copy in direct 'async --knob stages=2' bulk; do
    # shellcheck disable=SC2086 # words
    ok "verify in place, $copy" "$actune" verify hardswish --device cuda:0 --knob restrict=no --knob copy=$copy
done
refused 1 'exhaustive runs on the CPU only' "$actune" verify relu --device cuda:0 --exhaustive
refused 2 'most belongs to --variants' "$actune" verify relu --most 3
clean 'verify'

# --- bench ---
bench=("$actune" bench relu --device cuda:0 --sizes 1K --rounds 3)
run 'bench' "${bench[@]}" --json
ok 'its arms' python3 - shown <<'P'
import json, math, sys
row, = json.load(open(sys.argv[1]))
arms = {a["name"]: a for a in row["arms"]}
assert set(arms) == {"memcpy", "tuned", "null", "default", "copy"}, list(arms)
assert all(a["median_ns"] > 0 and math.isfinite(a["gbps"]) for a in arms.values())
assert row["tier"] == "default" and row["tuned"] == row["default"] and row["tuned"].startswith("cuda/"), row
P
run 'tune' "$actune" tune relu --device cuda:0 --sizes 1K --direction forward --budget 3 --seed 1
run 'bench of the winner' "${bench[@]}" --json
ok 'it is found' python3 -c 'import json; assert json.load(open("shown"))[0]["tier"] == "exact"'
run 'bench beside cuDNN' env ACTUNE_CUDNN="$build/fake_driver/libcudnn.so.9" "${bench[@]}"
ok 'cuDNN is there' grep -q 'cuDNN' shown
ok 'bench in place' "${bench[@]}" --in-place
printf '{"spec": "relu", "shape": [4, 256], "count": 3}\n{"spec": "clip(-1, 1)", "shape": [1000]}\n' >layers.jsonl
run 'bench of a batch' "$actune" bench --batch layers.jsonl --device cuda:0 --rounds 3 --json
ok 'its batch is one launch, and faster' python3 -c 'import json; j = json.load(open("shown")); assert j["launches"] == 1 and j["members"] == 4 and j["arms"][0]["speed_of_one_by_one"] > 1.5, j'
clean 'bench'

# --- without a driver, or without NVRTC ---
no_driver() { ACTUNE_LIBCUDA=/nowhere/libcuda.so.1 "$@"; }
no_nvrtc() { ACTUNE_NVRTC=/nowhere/libnvrtc.so XDG_CACHE_HOME=$work/none "$@"; }
mkdir -m 700 "$work/none"
run 'devices without a driver' no_driver "$actune" devices
ok 'it says why' grep -q 'cuda  none: .*ACTUNE_LIBCUDA names /nowhere' shown
run 'doctor without a driver' no_driver "$actune" doctor
ok 'that is no defect' grep -q 'none  *cuda ' shown
for command in "apply relu --input x.npy --output y.npy" "verify relu" "bench relu --sizes 1K"; do
    # shellcheck disable=SC2086 # words
    refused 1 'ACTUNE_LIBCUDA names /nowhere' no_driver "$actune" $command --device cuda:0
    # shellcheck disable=SC2086
    refused 1 'ACTUNE_NVRTC names /nowhere' no_nvrtc "$actune" $command --device cuda:0
done
run 'doctor without NVRTC' no_nvrtc "$actune" doctor
ok 'a limit' grep -q 'limited  nvrtc' shown
ok 'the old file is whole' cmp kept.npy y.npy
clean 'without NVRTC'

# --- every call fails in turn ---
# fail_each KIND COMMAND...: the first and the third call of each that COMMAND makes. It ends well or in a sentence that names the call.
fail_each() {
    local kind=$1 trace=$work/trace name nth status count code
    shift
    rm -f "$trace"
    [ "$kind" = fresh ] && rm -rf "${XDG_CACHE_HOME:?}"/*
    ACTUNE_FAKE_TRACE=$trace "$@" >/dev/null 2>&1
    [ -s "$trace" ] || { echo "FAILED: no calls were seen: $*"; failures=$((failures + 1)); }
    for name in $(sort -u "$trace"); do
        count=$(grep -cx "$name" "$trace")
        for nth in $times; do
            [ "$nth" -gt "$count" ] && continue
            [ "$kind" = fresh ] && rm -rf "${XDG_CACHE_HOME:?}"/*
            case $name in nvrtc*) code=1 ;; *) code=999 ;; esac
            ACTUNE_FAKE_FAIL=$name:$nth:$code "$@" >out 2>err
            status=$?
            faults=$((faults + 1))
            if [ "$status" -gt 1 ] || { [ "$status" -eq 1 ] && ! grep -q "$name" out err; }; then
                echo "FAILED: call $nth of $name fails, status $status: $*"; cat err; failures=$((failures + 1))
            fi
            case $name in cuCtxPush* | cuDevicePrimaryCtxRelease*) rm -f "$work/report" ;; esac # nothing can be given back then
            clean "call $nth of $name fails: $*"
        done
    done
}
# Under sanitizers everything takes three times as long: the first call alone.
times='1 3'
grep -q 'CMAKE_C_FLAGS.*fsanitize' "$build/CMakeCache.txt" && times=1
faults=0
apply=("$actune" apply 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b3.npy --grad-of bias=db.npy --layout nchw
    --output y.npy --device cuda:0)
rm -f y.npy db.npy
fail_each warm "${apply[@]}"
fail_each fresh "${apply[@]}"
fail_each warm "$actune" verify relu --direction forward --device cuda:0
fail_each warm "${bench[@]}"
fail_each warm "$actune" devices
fail_each warm "$actune" doctor
ok 'after all failures' "${apply[@]}"
echo "$faults calls failed"
clean 'the end'
finish
