#!/usr/bin/env bash
# actune doctor --stats: each rule fires where it should and nowhere else; both kinds of files, damaged ones too.
. "$(dirname "$0")/lib.sh"
# line LAYER KEY=VALUE...: a healthy layer but for these (of two equal keys the last counts).
line() {
    printf '{"layer": "%s", "step": 9, "count": 4000000, "fraction_nonpositive": 0.5, "fraction_zero": 0.5, "fraction_clipped": 0.0, ' "$1"
    printf '"nan": 0, "inf": 0, "mean": 0.1, "variance": 1.0, "absmax": 4.0'
    shift
    for pair in "$@"; do printf ', "%s": %s' "${pair%%=*}" "${pair#*=}"; done
    echo '}'
}
# advised FILE JSON: findings, among them values that are not finite: status 1, nothing on stderr.
advised() {
    "$actune" doctor --json --stats "$1" >"$2" 2>err
    [ $? -eq 1 ] && [ ! -s err ] || { echo "FAILED: doctor --stats $1"; cat "$2" err; failures=$((failures + 1)); }
}
about() { printf '{"layer": "%s", "spec": "%s", "device": "%s", "in_place": %s, "training": true, "is_input": %s}\n' "$@"; }
{
    line healthy channels=64 dead_channels=0 window=50 fraction_zero=0.9 # an earlier step does not count
    line healthy channels=64 dead_channels=0 window=50
    line dead channels=64 dead_channels=0.25 window=50 fraction_zero=0.9
    line unsure fraction_nonpositive=0.99
    line clipped fraction_clipped=0.7
    line sparse fraction_zero=0.9
    line broken nan=3 mean=null
    about input '' cpu false true; line input mean=128 variance=5000
    about standard '' cpu false true; line standard
    about small relu cuda:0 false false; line small count=1000
    about cpu relu cpu false false; line cpu count=1000
    about place 'bias | tanh' cpu true false; line place
    about lost '[accuracy=fast] gelu' cpu true false; line lost
    about output '[from=output] relu' cpu true false; line output
    about linear 'bias' cpu true false; line linear
} >run.jsonl
advised run.jsonl found.json
ok 'the right findings' python3 -c '
import json
found = json.load(open("found.json"))
assert found["layers"] == 14, found["layers"]
got = {(f["layer"], f["finding"]) for f in found["findings"]}
place = "in-place reuse breaks the gradient"
want = {("dead", "dead units"), ("unsure", "perhaps dead units"), ("clipped", "saturated"), ("sparse", "very sparse"), ("broken", "not finite"),
        ("input", "input not standardised"), ("small", "too little work for the GPU"), ("place", place), ("lost", place)}
assert got == want, got ^ want
advice = {f["layer"]: f["advice"] for f in found["findings"]}
assert "leaky_relu" in advice["dead"] and "learning rate" in advice["dead"] and "25.0 %" in advice["dead"]
assert "0.2 to 0.5" in advice["sparse"]
assert "[from=output] bias | tanh" in advice["place"] and "out of place" in advice["lost"], advice'
line healthy >fine.jsonl
ok 'a healthy run' "$actune" doctor --stats fine.jsonl
grep -qx '1 layer, nothing to change' out || { cat out; echo 'FAILED: a healthy run'; failures=$((failures + 1)); }
printf '{"layer": "cut' >>fine.jsonl
ok 'a line that is being written' "$actune" doctor --stats fine.jsonl
echo >>fine.jsonl
refused 1 'fine.jsonl:2' "$actune" doctor --stats fine.jsonl
refused 1 'missing' "$actune" doctor --stats missing.jsonl
refused 1 'no statistics' "$actune" doctor --stats /dev/null
refused 1 'cannot be read' "$actune" doctor --stats "$work"
head -c 1000 /dev/zero | tr '\0' 'x' >noise
refused 1 'no TensorBoard event' "$actune" doctor --stats noise

# Event files as the monitor writes them, where it is built; cut anywhere.
writer=${3:-}/tests/write_events
if [ -x "$writer" ]; then
    mkdir events
    ok 'events are written' "$writer" "$work/events"
    advised events/run/deeper/events.out.tfevents.* a.json
    advised events/run/deeper/actune.*.jsonl b.json
    ok 'both files say the same' python3 -c '
import json
a, b = json.load(open("a.json")), json.load(open("b.json"))
assert a == b and a["layers"] == 2, (a, b)
assert {f["finding"] for f in a["findings"]} >= {"not finite", "dead units", "too little work for the GPU", "in-place reuse breaks the gradient"}'
    for bytes in 3 30 100 400 1500; do
        head -c $bytes events/run/deeper/events.out.tfevents.* >cut
        "$actune" doctor --stats cut >out 2>err
        [ $? -le 1 ] || { echo "FAILED: cut at $bytes"; failures=$((failures + 1)); }
    done
fi
finish
