#!/usr/bin/env bash
# The other subcommands from outside: help, JSON, exit status, tune and its resumption, damaged databases.
. "$(dirname "$0")/lib.sh"
json() { # json WHAT EXPRESSION COMMAND...: output must be JSON for which the Python expression over `j` holds
    local what=$1 expression=$2
    shift 2
    ok "$what" "$@" || return 1
    cp "$work/out" "$work/json"
    ok "$what is JSON: $expression" python3 -c "import json; j = json.load(open('$work/json')); assert $expression, j"
}
for command in devices ops gen tune show why apply init clip-grads verify bench export db doctor; do
    ok "$command --help" "$actune" "$command" --help
    grep -q 'Usage' "$work/out" || { echo "FAILED: $command --help has no usage"; failures=$((failures + 1)); }
done
refused 2 "no command 'foo'" "$actune" foo
refused 2 'SPEC' "$actune" gen
json devices 'j[0]["processors"] >= 1' "$actune" devices --json
json ops 'any(o["name"] == "gelu_tanh" and not o["from_output"] for o in j) and any(o["name"] == "elu" and o["from_output"] for o in j)' "$actune" ops --json
json doctor 'all(c["verdict"] != "broken" for c in j)' "$actune" doctor --json
ok gen "$actune" gen 'bias | silu | clip(0, 10)' --knob unroll=4
grep -q 'bias | silu | clip(0, 10)' "$work/out" || { echo 'FAILED: gen does not name its spec'; failures=$((failures + 1)); }
ok 'gen backward' "$actune" gen 'bias | silu | clip(0, 10)' --backward --grad-of bias
refused 1 'unroll' "$actune" gen relu --knob unroll=5
refused 1 'relu. nope|nope' "$actune" gen 'relu(nope=1)'
refused 1 'clip' "$actune" gen 'clip(1, -1)'

json 'tune' 'all(r["status"] == "OK" and not r["reused"] for r in j["results"])' \
    "$actune" tune 'relu | clip(0, 6)' --sizes 4K,64K --json --budget 20
json 'tune again' 'all(r["reused"] for r in j["results"])' "$actune" tune 'relu | clip(0, 6)' --sizes 4K,64K --json
json 'tune, several passes' 'len(j["results"]) == 2 and all(r["status"] == "OK" for r in j["results"])' \
    "$actune" tune 'standardize | relu' --sizes 4K --direction forward --json --budget 8 --db passes.db
json 'show, several passes' '[c["spec"] for c in j] == ["[pass=1] standardize | relu", "[pass=2] standardize | relu"]' \
    "$actune" show 'standardize | relu' --json --db passes.db
json 'why, several passes' 'j["tier"] == "exact" and len(j["measured"]) > 1' "$actune" why 'standardize | relu' --shape 4096 --json --db passes.db
json 'gen, several passes' '[k["spec"][:8] for k in j] == ["[pass=1]", "[pass=2]", "[pass=3]"]' "$actune" gen 'standardize | relu' --backward --json
refused 1 'has 2 passes' "$actune" gen '[pass=3] standardize' --knob width=16
json 'verify, several passes' 'all(r["passed"] for r in j) and any(r["variant"] == "all passes" for r in j)' \
    "$actune" verify 'bias | standardize | relu' --direction forward --json
# Far down gelu's tail a value is no zero whose sign kernels could keep, also where x is 0.
json 'verify, several passes in a tail' 'all(r["passed"] for r in j)' "$actune" verify '[pass=2] bias | standardize(channel) | gelu | clip(-6, 6)' -d bf16 --direction forward --json
json 'show' 'len(j) == 4 and all(c["spec"] == "relu | clip(0, 6)" for c in j)' "$actune" show --json
json 'why' 'j["tier"] == "exact" and len(j["measured"]) > 0' "$actune" why 'relu | clip(0, 6)' --shape 65536 --json
json 'why, other size' 'j["tier"] != "exact"' "$actune" why 'relu | clip(0, 6)' --shape 1000000 --json
json 'bench' 'j[0]["tier"] == "exact" and [a["name"] for a in j[0]["arms"]] == ["memcpy", "tuned", "null", "default", "plain loop", "copy"] and len(j) == 2' \
    "$actune" bench 'relu | clip(0, 6)' relu --sizes 64K --rounds 5 --json
ok 'bench of gradients, as a table' "$actune" bench 'bias | relu' --backward --grad-of bias --shape 64x32 --rounds 3
grep -qE '^bias \| relu +backward +2K +tuned' "$work/out" && grep -q '^noise: ' "$work/out" || { cat "$work/out"; echo 'FAILED: the table of bench'; failures=$((failures + 1)); }
cat >"$work/layers.jsonl" <<'L'
{"layer": "expert", "spec": "relu | clip(0, 6)", "shape": [8, 512], "count": 5}
{"layer": "expert", "spec": "bias | relu", "shape": [8, 512], "layout": "rows", "count": 2}
{"layer": "none", "spec": "relu", "dtype": "i3", "shape": [8, 512]}
L
json 'bench of a batch' 'j["members"] == 7 and j["kernels"] == 2 and j["elements"] == 7 * 4096 and [a["name"] for a in j["arms"]] == ["batch", "null", "one by one"] and all(a["median_ns"] > 0 for a in j["arms"])' \
    "$actune" bench --batch "$work/layers.jsonl" --rounds 3 --json
ok 'bench of a batch in place, as a table' "$actune" bench --batch "$work/layers.jsonl" --rounds 3 --in-place --threads 1
grep -q '^7 members, 2 kernels, 28K elements, 1 thread, warm' "$work/out" && grep -qE '^one by one .* 1.00$' "$work/out" || { cat "$work/out"; echo 'FAILED: the table of a batch'; failures=$((failures + 1)); }
echo '{"spec": "relu"}' >"$work/bad.jsonl"
refused 1 'bad.jsonl:1' "$actune" bench --batch "$work/bad.jsonl"
refused 2 'from its file' "$actune" bench relu --batch "$work/layers.jsonl"
refused 1 'cuda:7' "$actune" bench relu --device cuda:7
refused 2 'SPEC' "$actune" bench
refused 1 "did you mean 'gelu'" "$actune" bench relu geluu --sizes 4K --rounds 3
json 'db check' 'j["sound"]' "$actune" db check --json
json 'db dump' 'len(j["measurements"]) > 0 and len(j["choices"]) == 4 and all(b["registers"] is None and b["code_bytes"] > 0 for b in j["builds"]) and all("compiler" in s["environment"] and "timer_resolution_ns" in s["protocol"] for s in j["sessions"]) and all(v["passed"] for v in j["verifications"])' "$actune" db dump
json 'verify' 'all(v["passed"] for v in j)' "$actune" verify 'bias | gelu' --grad-of bias --json

json 'verify on every number' 'len(j) == 2 and all(v["passed"] and v["method"] == "exhaustive" and v["compared"] == 65536 for v in j)' \
    "$actune" verify silu --dtype bf16 --exhaustive --json
json 'and its maximum is kept' 'sum(v["method"] == "exhaustive" for v in j["verifications"]) >= 2' "$actune" db dump
json 'verify on a slice of f32' 'j[0]["passed"] and j[0]["method"] == "sampled" and j[0]["compared"] == 4 * 65536' \
    "$actune" verify tanh --direction forward --exhaustive --part 9/16384 --json
refused 1 'operands' "$actune" verify 'bias | relu' --exhaustive --part 1/16384
refused 2 'I/N' "$actune" verify relu --exhaustive --part 3/2

printf '%s\n' '{"model": "m", "layer": "a", "spec": "relu", "direction": "forward", "dtype": "f32", "layout": "nchw", "shape": [1, 2, 8, 8], "count": 3}' \
    '{"model": "m", "layer": "b", "spec": "halves | relu | mul", "direction": "forward", "dtype": "f32", "layout": "rows", "shape": [4, 64], "count": 1}' \
    '{"model": "m", "layer": "c", "spec": "relu", "direction": "forward", "dtype": "i4", "layout": "rows", "shape": [4, 64], "count": 1}' >w.jsonl
json 'workload' 'len(j["skipped"]) == 1 and [p["layers"] for p in j["passes"]] == [3, 1, 0] and [r["shape"] for r in j["results"]] == [[1, 1, 128], [4, 1, 32]]' "$actune" tune --workload w.jsonl --json --budget 20
echo '{"spec": "relu", "shape": [1, -2]}' >bad.jsonl
refused 1 'bad.jsonl:1' "$actune" tune --workload bad.jsonl
echo 'not json' >bad.jsonl
refused 1 'bad.jsonl:1' "$actune" tune --workload bad.jsonl

echo 'this is no database' >text.db
cp text.db text.copy
refused 1 'text.db' "$actune" show --db text.db
refused 1 'text.db' "$actune" tune relu --sizes 4K --db text.db
ok 'a foreign file is untouched' cmp text.db text.copy

# A compiler that is missing: the interpreter serves.
env PATH=/nonexistent "$actune" doctor --json >"$work/json" 2>"$work/err"
ok 'without a compiler' python3 -c "import json; j={c['check']: c for c in json.load(open('$work/json'))}; assert j['compiler']['verdict'] == 'limited' and j['run']['verdict'] in ('ok', 'limited'), j"
# gen says what it was asked for: both directions, JSON, and no gradient of nothing.
ok 'gen, both directions' "$actune" gen silu --direction both --json; cp out both.json
ok 'they are there' python3 -c '
import json
rows = json.load(open("both.json"))
assert [r["direction"] for r in rows] == ["forward", "backward"], rows
assert all(r["source"].count("actune_") and r["variant"].startswith("cpu/") for r in rows)'
refused 2 'grad-of needs --backward' "$actune" gen silu --grad-of bias
refused 2 'does not go with --graph' "$actune" gen silu --json --graph
printf '{"model": "m", "spec": "relu", "dtype": "f16", "shape": [4, 8]}\n' >one.jsonl
refused 1 'one.jsonl has no row for these' "$actune" tune --workload one.jsonl --dtype f32
finish
