#!/usr/bin/env bash
# What bench/results/<machine>/<date>/activations.txt holds: tunes each spec into an empty database, then measures all of them beside
# memcpy, the plain loop and oneDNN, one thread, f32 forward.
#   bench/run_activations.sh [BUILD] >activations.txt      BUILD: a build folder of the preset bench (default build-bench)
set -euo pipefail
build=${1:-build-bench}
specs=(relu leaky_relu 'clip(-6, 6)' hardswish sigmoid silu tanh elu gelu gelu_tanh mish)
sizes=16384,262144,4194304
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ACTUNE_DB=$work/tuned.db

# tune SIZES SPEC: its rows of the table.
tune() { "$build/actune" tune "$2" --threads 1 --sizes "$1" --direction forward 2>/dev/null | grep width=; }

echo "# bench/run_activations.sh, actune $("$build/actune" --version 2>/dev/null | head -n 1)"
echo '# Winner, time, default/winner, copy/winner.'
for spec in "${specs[@]}"; do tune "$sizes" "$spec"; done
for spec in relu 'clip(-6, 6)'; do tune 67108864 "$spec"; done
for spec in "${specs[@]:4}"; do tune 16384,262144 "[accuracy=fast] $spec"; done
echo '# bench_activations --rounds 31'
"$build/bench/bench_activations" --rounds 31
echo '# bench_activations relu "clip(-6, 6)" --sizes 67108864 --rounds 15'
"$build/bench/bench_activations" relu 'clip(-6, 6)' --sizes 67108864 --rounds 15
echo '# bench_activations --class fast --sizes 16384,262144 --rounds 31'
"$build/bench/bench_activations" "${specs[@]:4}" --class fast --sizes 16384,262144 --rounds 31
echo '# bench_overhead'
"$build/bench/bench_overhead"
