#!/usr/bin/env bash
# Everything that needs a GPU, in one run: builds, checks, measures, and writes results.json, summary.md and log.txt.
# Usage: scripts/gpu-check.sh [pack|build|conformance|sanitizer|ceilings|tune|peers|all] [--out DIR] [--minutes N]
#   pack   on the developer's machine: what a bare machine cannot build, into build-gpu-pack/ (ignored by git, carried along)
# A part that fails does not stop the others; the exit status is then 1. Default DIR: bench/results/<gpu-name>/<date>.
set -uo pipefail
cd "$(dirname "$0")/.."
part=all out='' minutes=8
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
while [ $# -gt 0 ]; do
    case $1 in
    -h|--help) usage; exit 0;;
    pack|build|conformance|sanitizer|ceilings|tune|peers|all) part=$1;;
    --out) [ $# -gt 1 ] || { usage >&2; exit 2; }; out=$2; shift;;
    --minutes) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { echo "--minutes takes a whole number" >&2; exit 2; }; minutes=$2; shift;;
    *) echo "unknown word '$1'" >&2; usage >&2; exit 2;;
    esac
    shift
done
pack=build-gpu-pack programs=(actune gpu_ceilings gpu_overhead gpu_peers)

compile() {
    cmake -B build-gpu -DACTUNE_GPU_BENCH=ON -DCMAKE_BUILD_TYPE=Release >&2 &&
        cmake --build build-gpu -j "$(nproc)" --target actune_cli gpu_ceilings gpu_overhead gpu_peers >&2 || return 1
    if command -v nvcc >/dev/null; then
        nvcc -O3 -std=c++17 -arch=sm_90 -shared -Xcompiler -fPIC bench/gpu/peer_cub.cu -o build-gpu/libpeer_cub.so >&2
    fi
    return 0
}
if [ "$part" = pack ]; then
    compile || exit 1
    mkdir -p $pack/lib
    for p in "${programs[@]}"; do
        cp "build-gpu/$p" $pack/
        ldd "build-gpu/$p" | awk '/=> \// {print $3}' | grep -E 'sqlite|jansson' | xargs -r cp -Lt $pack/lib
    done
    [ ! -f build-gpu/libpeer_cub.so ] || cp build-gpu/libpeer_cub.so $pack/
    du -sh $pack
    exit 0
fi

name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n1 | tr ' ' '-')
out=${out:-bench/results/${name:-no-gpu}/$(date -u +%F)}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=build-gpu
if [ -x $pack/actune ]; then
    bin=$pack
    export LD_LIBRARY_PATH=$PWD/$pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
export XDG_CACHE_HOME=$work/cache ACTUNE_DB=${ACTUNE_DB:-$out/actune.db} ACTUNE_PEER_CUB=${ACTUNE_PEER_CUB:-$PWD/$bin/libpeer_cub.so}
mkdir -m 700 -p "$XDG_CACHE_HOME"
share=$((minutes * 60 / 5))

build() { [ $bin = $pack ] || compile; }
conformance() { timeout $share "$bin/actune" verify --device cuda:0 --all --json; }
sanitizer() {
    command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer here" >&2; return 77; }
    local tool bad=0
    for tool in memcheck racecheck initcheck synccheck; do
        timeout $((share / 4)) compute-sanitizer --tool $tool --error-exitcode 1 "$bin/actune" verify 'bias | gelu' --device cuda:0 --dtype f16 >&2 || bad=1
    done
    return $bad
}
ceilings() { timeout $share "$bin/gpu_ceilings"; }
tune() {
    local bad=0
    timeout $share "$bin/actune" tune --device cuda:0 --workload bench/gpu/rows.jsonl --budget $((share * 8 / 10)) --json || bad=1
    timeout 60 "$bin/gpu_overhead" || bad=1
    return $bad
}
peers() { python3 bench/gpu/summary.py rows bench/gpu/rows.jsonl | timeout $share "$bin/gpu_peers" --seconds $((share * 8 / 10)); }

failed=0
case $part in all) parts=(build conformance sanitizer ceilings tune peers);; *) parts=("$part");; esac
for p in "${parts[@]}"; do
    echo "== $p" | tee -a "$out/log.txt"
    started=$SECONDS
    $p >"$work/$p.out" 2>"$work/$p.err"
    status=$?
    cat "$work/$p.out" "$work/$p.err" >>"$out/log.txt"
    tail -n 3 "$work/$p.err"
    python3 bench/gpu/summary.py add "$out" "$p" $status $((SECONDS - started)) "$work/$p.out" || failed=1
    [ $status -eq 0 ] || [ $status -eq 77 ] || failed=1
done
cat "$out/summary.md"
exit $failed
