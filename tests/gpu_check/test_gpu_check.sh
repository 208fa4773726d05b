#!/usr/bin/env bash
# scripts/gpu-check.sh as a whole, on the fake driver and a fake PyTorch: which machines are left out, a run that is killed and taken up again,
# what the summary makes of it. The fake's times mean nothing.
build=$3
. "$(dirname "$0")/../cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
check=$source/scripts/gpu-check.sh
export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so ACTUNE_CUDNN=$build/fake_driver/libcudnn.so.9
export ACTUNE_FAKE_CACHE=$work/objects ACTUNE_FAKE_REPORT=$work/report ACTUNE_GPU_CHECK_TINY=1
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigtrap=0
mkdir "$work/objects" "$work/bin"
# A sanitizer that finds nothing, and a PyTorch over the fake driver (not under AddressSanitizer: Python was not built with it).
printf '#!/bin/sh\nshift 4\nexec "$@"\n' >"$work/bin/compute-sanitizer"
chmod +x "$work/bin/compute-sanitizer"
export PATH=$work/bin:$PATH PYTHONDONTWRITEBYTECODE=1
asan=0
ldd "$build/libactune.so" | grep -q libasan && asan=1
[ $asan -eq 1 ] || export PYTHONPATH=$source/tests/gpu_check/fake_torch:$PYTHONPATH

cat >rows.jsonl <<'R'
{"layer": "unary", "spec": "relu", "direction": "forward", "dtype": "f16", "layout": "rows", "shape": [4096]}
{"layer": "unary", "spec": "relu", "direction": "forward", "dtype": "f16", "layout": "rows", "shape": [256]}
{"layer": "unary", "spec": "silu", "direction": "forward", "dtype": "f16", "layout": "rows", "shape": [256]}
{"layer": "fused", "spec": "scale_shift | relu", "direction": "backward", "dtype": "f32", "layout": "nchw", "shape": [2, 16, 4, 4]}
R
run=("$check" --programs "$build" --rows "$work/rows.jsonl" --out "$work/results")
clean() {
    [ ! -s "$work/report" ] && return
    echo "FAILED: $1:"; cat "$work/report"; failures=$((failures + 1)); rm -f "$work/report"
}

# --- the scripts and the list ---
if command -v shellcheck >/dev/null; then ok 'shellcheck' shellcheck "$check" "$source/scripts/gpu-build.sh"; fi
ok 'the list is what make_rows.py writes' bash -c 'python3 "$0/make_rows.py" | cmp - "$0/rows.jsonl"' "$source/bench/gpu"
refused 2 "unknown word 'everything'" "$check" everything
refused 2 'whole number' "$check" --minutes soon
refused 2 'called alone' "$check" pack build

# --- machines that cannot: 77, before anything is written; a broken driver is a failure ---
ACTUNE_LIBCUDA=$work/none refused 77 'skipped, ACTUNE_LIBCUDA names' "${run[@]}"
ACTUNE_FAKE_FAIL=cuInit:1:34 refused 77 'skipped, no NVIDIA driver .* stub' "${run[@]}"
ACTUNE_FAKE_FAIL=cuInit:1:100 refused 77 'skipped, cuInit failed with 100' "${run[@]}"
ACTUNE_NVRTC=$work/none refused 77 'skipped, no NVRTC' "${run[@]}"
ACTUNE_FAKE_FAIL=cuInit:1:999 refused 1 'cuInit failed with 999' "${run[@]}"
# Where nothing is built yet, the question alone is.
mkdir empty
ACTUNE_LIBCUDA=$work/none refused 77 'skipped' "$check" --programs "$work/empty" --out "$work/results"
[ $asan -eq 1 ] || refused 1 'nothing is built' "$check" tune --programs "$work/empty" --out "$work/unbuilt"
for program in ceilings overhead peers; do
    ACTUNE_LIBCUDA=$work/none refused 77 'skipped' "$build/gpu_$program"
done
[ ! -e results ] || { echo 'FAILED: something was written without a GPU'; failures=$((failures + 1)); }
clean 'without a GPU'

# --- killed while it tunes: what was found remains, and is said ---
"${run[@]}" >out 2>err &
script=$!
for _ in $(seq 300); do
    sleep 0.1
    grep -qs '"bench": "tune".*"done": 1' results/results.jsonl && break
done
kill -TERM $script
wait $script
[ $? -eq 1 ] && grep -q 'stopped in' err || { echo 'FAILED: SIGTERM'; cat out err; failures=$((failures + 1)); }
! pgrep -f -- "--results $work/results" >/dev/null || { echo 'FAILED: something of it still runs'; failures=$((failures + 1)); }
ok 'it was killed with work left' python3 - results <<'P'
import json, sys
parts = {p["part"]: p["status"] for p in json.load(open(sys.argv[1] + "/summary.json"))["parts"]}
assert parts["ceilings"] == parts["overhead"] == parts["conformance"] == 0, parts
assert parts.get("peers") is None, parts
P
rm -f report
printf '{"bench": "tune", "row": "half a li' >>results/results.jsonl

# --- the same command goes on ---
ok 'the second call' "${run[@]}"; cp out second
for _ in 1 2 3; do # a slow machine needs more calls
    [ "$(grep -c '"done": 1' results/results.jsonl)" -ge $((asan ? 10 : 14)) ] && break
    ok 'a further call' "${run[@]}"
done
ok 'did not do again what was done' grep -q '== ceilings: done before' second
clean 'the second call'
[ $asan -eq 1 ] && torch=77 || torch=0
grep -E '^\| [a-z]+ \| [a-z]+ \| [0-9]' results/summary.md
ok 'the results' python3 - results $torch <<'P'
import json, sys
lines = []
for line in open(sys.argv[1] + "/results.jsonl"):
    try:
        lines.append(json.loads(line))
    except ValueError:
        pass
for bench in ("tune", "peers") + (("torch",) if sys.argv[2] == "0" else ()):
    over = [r["row"] for r in lines if r.get("bench") == bench and r.get("done")]
    assert len(over) == 4 == len(set(over)), (bench, over)
s = json.load(open(sys.argv[1] + "/summary.json"))
parts = {p["part"]: p["status"] for p in s["parts"]}
assert parts.pop("torch") == int(sys.argv[2]), parts
assert len(parts) == 6 and not any(parts.values()), parts
assert s["machine"]["device"] == "Fake GPU 90" and not s["failures"], s
assert {c["what"] for c in s["ceilings"]} == {"copy", "read", "write", "2 reads 1 write", "3 reads 2 writes"}
assert len(s["rows"]) == 4 and all(r["gbps"] > 0 and r["null"] and r["untuned"] for r in s["rows"]), s["rows"]
assert [bool(r["over_empty"]) for r in s["rows"]] == [r["regime"] == "warm" for r in s["rows"]], s["rows"]
assert [r.get("cuDNN", 0) > 0 for r in s["rows"]] == [True, True, True, False], s["rows"]
if sys.argv[2] == "0":
    assert s["rows"][0]["eager"] > 0 and s["rows"][0]["compile"] > 0 and "autotune" not in s["rows"][0]
    assert "eager" not in s["rows"][2], "what computes something else is no peer"
    assert any("computes something else" in m["why"] for m in s["missing"]) and any(m["why"] == "no Triton" for m in s["missing"])
P
ok 'the table' grep -q '^| unary | relu forward f16 1x1x4096 | cold' results/summary.md

# --- time is over: what is left is told ---
ok 'a limit' "${run[@]}" tune --limit 1 --out "$work/short"
ok 'the rows that are left' python3 -c 'import json; assert json.load(open("short/summary.json"))["parts"][0]["left"] > 0'

# --- a row that the card has no room for: told, and no failure ---
echo '{"layer": "unary", "spec": "relu", "direction": "forward", "dtype": "f16", "layout": "rows", "shape": [1073741824]}' >large.jsonl
ok 'a row that does not fit' "$check" --programs "$build" --rows "$work/large.jsonl" peers torch --out "$work/large"
ok 'is told' grep -q 'does not fit: 4.3 GB of tensors, 1.1 GB are free' large/summary.md

# --- a row that fails: the others go on, and it is told ---
ACTUNE_CUDNN=none ACTUNE_FAKE_FAIL=cuMemAlloc_v2:2:2 "${run[@]}" peers --out "$work/failing" >out 2>err
[ $? -eq 1 ] || { echo 'FAILED: a failed row ended well'; cat out err; failures=$((failures + 1)); }
ok 'the row and the others' python3 - failing <<'P'
import json, sys
rows = json.load(open(sys.argv[1] + "/summary.json"))["rows"]
s = json.load(open(sys.argv[1] + "/summary.json"))
assert any("ACTUNE_CUDNN" in m["why"] and m["arm"] == "cuDNN" for m in s["missing"]), s["missing"]
assert "cuMemAlloc_v2 failed with 2" in rows[0]["status"] and all(r["gbps"] > 0 for r in rows[1:]), rows
P
clean 'a row that fails'

ok 'the summary of numbers that are known' python3 "$source/tests/gpu_check/check_summary.py" "$source/bench/gpu"
finish
