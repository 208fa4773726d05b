#!/usr/bin/env bash
# actune tune on the fake driver: what is stored, what is taken up again, and what becomes of it when calls fail. The fake's clock has no
# meaning: nothing is asked of who wins.
build=$3
. "$(dirname "$0")/../cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so ACTUNE_CUDNN=none
export ACTUNE_FAKE_CACHE=$work/objects ACTUNE_FAKE_REPORT=$work/report
export ASAN_OPTIONS=detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigtrap=0
mkdir "$work/objects"

# Under sanitizers everything takes three times as long: small budgets, and of a failing call the first alone.
brief=no first_budget=10 long_budget=16
grep -q 'CMAKE_C_FLAGS.*fsanitize' "$build/CMakeCache.txt" && brief=yes first_budget=30 long_budget=8

# clean WHAT: no mistake of the program and nothing left behind.
clean() {
    [ ! -s "$work/report" ] && return
    echo "FAILED: $1:"; cat "$work/report"; failures=$((failures + 1)); rm -f "$work/report"
}

tune=("$actune" tune 'bias | relu' --device cuda:0 --direction both --sizes 256,1K --channels 32 --budget $first_budget --seed 1)
ok 'tune' "${tune[@]}" --json; cp out result.json
clean 'tune'
ok 'its results' python3 - result.json <<'P'
import json, math, sys
rows = json.load(open(sys.argv[1]))["results"]
assert len(rows) == 4, rows
for row in rows:
    assert row["status"] == "OK" and not row["reused"], row
    assert row["variant"].startswith("cuda/channel_inner "), row
    assert all(math.isfinite(row[k]) and row[k] > 0 for k in ("winner_ns", "default_ns", "copy_ns")), row
    assert row["candidates"] >= 2, row
P
ok 'the database is in order' "$actune" db check
ok 'dump' "$actune" db dump; cp out dump.json
ok 'what it holds' python3 - dump.json <<'P'
import json, sys
root = json.load(open(sys.argv[1]))
assert any(d["kind"] == "cuda" and "Fake GPU" in d["model"] for d in root["devices"]), root["devices"]
text = json.dumps(root)
assert "NVRTC" in text and "device-to-device copy" in text
assert len(root["choices"]) == 4, root["choices"]
assert root["verifications"] and any(v["passed"] for v in root["verifications"])
P
start=$(date +%s%N)
ok 'tune again' "${tune[@]}" --json; cp out again.json
took=$((($(date +%s%N) - start) / 1000000))
ok 'reused, all of them' python3 - again.json <<'P'
import json, sys
assert all(row["reused"] for row in json.load(open(sys.argv[1]))["results"])
P
[ "$took" -lt 2000 ] || { echo "FAILED: the second call took $took ms"; failures=$((failures + 1)); }
ok 'show' "$actune" show --device cuda:0; cp out shown
ok 'shows it' grep -q 'cuda/channel_inner' shown
ok 'show of the CPU' "$actune" show; cp out shown
ok 'has none of it' grep -q 'No winners yet' shown
ok 'why' "$actune" why 'bias | relu' --shape 8x32 --device cuda:0; cp out shown
ok 'is exact' grep -q 'because  exact' shown
clean 'why'

# --- in place: kernels of their own, which say nothing of pointers that are alone ---
over=("$actune" tune relu --device cuda:0 --in-place --direction both --sizes 512 --budget 4 --seed 1)
ok 'in place' "${over[@]}" --json; cp out over.json
clean 'in place'
ok 'its winners admit it' python3 - over.json <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))["results"]
assert len(rows) == 2, rows
for row in rows:
    assert row["status"] == "OK" and row["candidates"] >= 2, row
    assert "restrict=no" in row["variant"] and "load=nc" not in row["variant"] and "cudnn" not in row["variant"], row
P
ok 'dump in place' "$actune" db dump; cp out dump.json
ok 'stored as in place' python3 - dump.json <<'P'
import json
root = json.load(open("dump.json"))
assert sum(c["workload"]["in_place"] for c in root["choices"]) == 2, root["choices"]
P
ok 'again in place' "${over[@]}" --json; cp out over.json
ok 'reused' python3 -c 'import json; assert all(r["reused"] for r in json.load(open("over.json"))["results"])'
ok 'bench in place' "$actune" bench relu --device cuda:0 --in-place --sizes 512 --rounds 3; cp out shown
ok 'beside its default' grep -q default shown
refused 1 'one element type' "$actune" tune relu --device cuda:0 --in-place --dtype f32:f16 --sizes 512
clean 'bench in place'

# --- interrupted and killed runs ---
# Several sizes: what the first stage measured is kept until the last of them has its winner.
run=("$actune" tune 'hardswish' --device cuda:0 --direction forward --sizes 512,1K,2K,4K --seed 2 --budget $long_budget)
# How many arms the database keeps of races that are under way.
kept() { python3 -c 'import os, sqlite3; print(sqlite3.connect(os.environ["XDG_DATA_HOME"] + "/actune/actune.db").execute("select count(*) from progress").fetchone()[0])'; }
"${run[@]}" >out 2>err &
sleep 1
kill -INT $!
wait $!
[ $? -eq 1 ] && grep -q interrupted err || { echo 'FAILED: SIGINT'; cat out err; failures=$((failures + 1)); }
clean 'SIGINT'
"${run[@]}" >out 2>err &
for _ in $(seq 200); do
    sleep 0.1
    [ "$(kept)" -gt 0 ] && break
done
kill -KILL $!
wait $! 2>/dev/null
rm -f report
[ "$(kept)" -gt 5 ] || { echo 'FAILED: nothing was kept of the race that was killed'; failures=$((failures + 1)); }
ok 'the database after SIGKILL' "$actune" db check
ok 'the same command goes on' "${run[@]}"
clean 'after the kill'
[ "$(kept)" -eq 0 ] || { echo 'FAILED: the race is over and still kept'; failures=$((failures + 1)); }
ok 'the database after that' "$actune" db check

# --- faults: each call of the run fails, at its first and a later time ---
# What another call reports or nobody needs for the answer is let through; everything else must end in a sentence that names the call.
small=("$actune" tune 'relu' --device cuda:0 --direction forward --sizes 256 --budget 0.4 --seed 3 --force)
ACTUNE_FAKE_TRACE=$work/trace "${small[@]}" >"$work/out" 2>"$work/err" || { echo 'FAILED: the run without faults'; cat "$work/err"; failures=$((failures + 1)); }
clean 'without faults'
faults=0 survived=0
for name in $(sort -u "$work/trace"); do
    count=$(grep -cx "$name" "$work/trace")
    case $name in
    cuLaunchKernel | cuMemAlloc_v2 | cuModuleLoadData | cuGraphLaunch | cuEventElapsedTime | cuStreamEndCapture | cuMemcpyDtoHAsync_v2)
        times="1 $((count / 3)) $((count - 2))" ;;
    *) times=1 ;;
    esac
    [ $brief = yes ] && times=1
    for nth in $times; do
        case $name in nvrtc*) code=1 ;; *) code=999 ;; esac
        ACTUNE_FAKE_FAIL=$name:$nth:$code "${small[@]}" >"$work/out" 2>"$work/err"
        status=$?
        faults=$((faults + 1))
        [ $status -eq 0 ] && survived=$((survived + 1))
        if [ $status -gt 1 ] || { [ $status -eq 1 ] && ! cat "$work/out" "$work/err" | grep -Eq "$name|nvrtc|NVRTC"; }; then
            echo "FAILED: call $nth of $name fails, status $status"; cat "$work/out" "$work/err"; failures=$((failures + 1))
        fi
        grep -v 'left behind: 1 x primary context' "$work/report" >"$work/rest" 2>/dev/null
        case $name in cuCtxPush*) rm -f "$work/report" ;; esac # nothing can be given back without a context
        clean "call $nth of $name fails"
    done
done
ok 'the database after all failures' "$actune" db check
ok 'after all failures' "${small[@]}"
clean 'after all failures'
echo "$faults calls failed, $survived runs found a winner all the same"
finish
