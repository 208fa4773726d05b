#!/usr/bin/env bash
# cuDNN among the candidates of `actune tune` on the fake driver, whose clock is told how long cuDNN takes: it wins, loses, computes something
# else, is of another version, is not there, fails.
build=$3
. "$(dirname "$0")/../cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so ACTUNE_CUDNN=$build/fake_driver/libcudnn.so.9
export ACTUNE_FAKE_CACHE=$work/objects ACTUNE_FAKE_REPORT=$work/report
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigtrap=0
mkdir "$work/objects"

# clean WHAT: no mistake of the program and nothing left behind.
clean() {
    [ ! -s "$work/report" ] && return
    echo "FAILED: $1:"; cat "$work/report"; failures=$((failures + 1)); rm -f "$work/report"
}
# says WHAT PATTERN COMMAND...: succeeds and prints the pattern.
says() {
    local what=$1 pattern=$2
    shift 2
    ok "$what" "$@" && { grep -qE -- "$pattern" "$work/out" || { echo "FAILED: $what: no '$pattern'"; cat "$work/out"; failures=$((failures + 1)); }; }
}
# On CUDA this strategy takes the default's neighbours in the core knobs alone: few kernels, so that the runs end long before their budget.
few=(--device cuda:0 --strategy exhaustive --seed 1 --budget 60)
times='1 2'
grep -qa __asan_init "$actune" && times=1 # several times slower there
tune() { "$actune" tune "$@" "${few[@]}"; }
forward() { tune tanh --direction forward --sizes 256 "$@"; }

# --- it wins ---
export ACTUNE_FAKE_CUDNN_NS=10
says 'tune' 'cuDNN 9\.13\.1, activation' forward
clean 'tune'
says 'show' 'tanh .*cuDNN 9\.13\.1, activation' "$actune" show --device cuda:0
says 'why' 'runs +cuDNN 9\.13\.1, activation' "$actune" why tanh --shape 256 --device cuda:0
grep -q 'because  exact' "$work/out" && grep -q 'where actune_prewarm was not called.*cuda/elementwise' "$work/out" ||
    { echo 'FAILED: why does not say what runs besides'; cat "$work/out"; failures=$((failures + 1)); }
ok 'dump' "$actune" db dump; cp out dump.json
ok 'what the database holds' python3 - dump.json <<'P'
import json, sys
root = json.load(open(sys.argv[1]))
choice, = root["choices"]
assert choice["variant"] == "cudnn/activation version=9.13.1", choice
assert choice["ours"].startswith("cuda/elementwise "), choice
assert any(m["variant"] == choice["variant"] for m in root["measurements"])
assert any(m["variant"] == choice["ours"] for m in root["measurements"])
builds = {b["variant"]: b["toolchain"] for b in root["builds"]}
assert builds[choice["variant"]] == "cuDNN 9.13.1" and "NVRTC" in builds[choice["ours"]], builds
right = {v["variant"] for v in root["verifications"] if v["passed"]}
assert {choice["variant"], "cudnn/graph plan=0 version=9.13.1"} <= right, right
P
ok 'the database is in order' "$actune" db check
ok 'again' forward --json; cp out again.json
ok 'is reused' python3 -c 'import json; assert all(r["reused"] for r in json.load(open("again.json"))["results"])'
clean 'reused'
says 'gelu is a graph of cuDNN' 'cuDNN 9\.13\.1, graph plan [01]' tune gelu --direction forward --sizes 256
says 'a gradient' 'cuDNN 9\.13\.1, graph' tune softplus --direction backward --sizes 256
says 'a gradient from the output' 'cuDNN 9\.13\.1, activation' tune '[from=output] sigmoid' --direction backward --sizes 256
says 'a pipeline is one graph' 'cuDNN 9\.13\.1, graph' tune 'bias | relu' --direction forward --sizes 1K --channels 32
says 'in planes' 'cuDNN 9\.13\.1, graph' tune 'bias | relu' --direction forward --shape 2x6x35 --layout nchw
# The fake's legacy gradient of elu reads y, and is given x.
says 'what computes something else is out' 'cuDNN 9\.13\.1, graph' tune elu --direction backward --sizes 256
ok 'dump' "$actune" db dump; cp out dump.json
ok 'and the database says why' python3 - dump.json <<'P'
import json, sys
root = json.load(open(sys.argv[1]))
wrong = [v for v in root["verifications"] if v["variant"].startswith("cudnn/activation") and not v["passed"]]
assert wrong and all("is off" in v["detail"] for v in wrong), wrong
P
clean 'gradients'

# --- another version ---
export ACTUNE_FAKE_CUDNN_VERSION=91400
says 'why' 'because  exact' "$actune" why tanh --shape 256 --device cuda:0
grep -q 'runs     cuda/elementwise' "$work/out" && grep -q "not what cuDNN 9.14.0" "$work/out" ||
    { echo 'FAILED: another version is used'; cat "$work/out"; failures=$((failures + 1)); }
ok 'another version' forward --json; cp out again.json
ok 'is measured anew' python3 -c '
import json
row, = json.load(open("again.json"))["results"]
assert not row["reused"] and row["variant"] == "cudnn/activation version=9.14.0", row'
unset ACTUNE_FAKE_CUDNN_VERSION
clean 'another version'

# --- it loses ---
export ACTUNE_FAKE_CUDNN_NS=1e6
says 'a slow one' 'block=' tune hardswish --direction forward --sizes 256
says 'relu' 'block=' tune relu --direction forward --sizes 256
ok 'dump' "$actune" db dump; cp out dump.json
ok 'it was measured' python3 - dump.json <<'P'
import json, sys
root = json.load(open(sys.argv[1]))
ours = [c for c in root["choices"] if c["variant"].startswith("cuda/")]
assert len(ours) == 2 and all(c["ours"] == "" for c in ours), ours
slow = [m for m in root["measurements"] if m["variant"].startswith("cudnn/") and m["median_ns"] > 9e5]
assert slow, "no slow cuDNN"
P
clean 'slow'

# --- it is not there ---
says 'none' 'block=' env ACTUNE_CUDNN=none "$actune" tune silu --direction forward --sizes 256 "${few[@]}"
says 'a wrong name' 'block=' env ACTUNE_CUDNN=/nowhere "$actune" tune silu --direction forward --sizes 512 "${few[@]}"
says 'why without it' "note .*no cuDNN .ACTUNE_CUDNN is 'none'" env ACTUNE_CUDNN=none "$actune" why gelu --shape 256 --device cuda:0
clean 'none'

# --- each of its calls fails: a kernel wins all the same, ours or another of cuDNN's ---
export ACTUNE_FAKE_CUDNN_NS=10
small=("$actune" tune tanh --direction forward --sizes 256 --force --db "$work/faults.db" "${few[@]}")
ACTUNE_FAKE_TRACE=$work/trace "${small[@]}" >"$work/out" 2>"$work/err" || { echo 'FAILED: the run without faults'; cat "$work/err"; failures=$((failures + 1)); }
faults=0
for name in $(grep -o '^cudnn[A-Za-z0-9]*' "$work/trace" | sort -u); do
    count=$(grep -cx "$name" "$work/trace")
    for nth in $times; do
        [ "$nth" -le "$count" ] || continue
        ok "call $nth of $name fails" env ACTUNE_FAKE_FAIL="$name:$nth:4004" "${small[@]}"
        faults=$((faults + 1))
        clean "call $nth of $name fails"
    done
done
ok 'the database after all failures' "$actune" db check --db "$work/faults.db"
[ "$faults" -ge 15 ] || { echo "FAILED: only $faults calls failed"; failures=$((failures + 1)); }
echo "$faults calls of cuDNN failed"
finish
