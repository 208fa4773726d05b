#!/usr/bin/env bash
# Everything that needs a GPU: builds, checks and measures, and writes into bench/results/<gpu>/<date>/ results.jsonl (a line as soon as
# something is known), summary.md, summary.json and log.txt. A second call goes on where the first one stopped.
#
# Usage: scripts/gpu-check.sh [PART...] [--out DIR] [--minutes N] [--limit SECONDS] [--programs DIR] [--rows FILE]
#   PART        build conformance sanitizer ceilings overhead tune peers torch summary; all of them when none is named: those that ended
#               well in DIR already are left out then
#   --minutes   of the whole call (8): what a part leaves over goes to those behind it
#   --limit     of each part, at most
#   --programs  use the programs in this folder and build nothing (build-gpu-pack, where it is there)
#   --rows      the rows to tune and race (bench/gpu/rows.jsonl)
#        scripts/gpu-check.sh pack
#   what a bare machine cannot build, into build-gpu-pack/ to be carried there; needs no GPU
#
# Exit status: 0 all well, 1 something failed, 2 wrong usage, 77 this machine has no NVIDIA driver, no GPU or no NVRTC (said first, in a second).
# shellcheck disable=SC2317 # what traps call
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

every=(build conformance sanitizer ceilings overhead tune peers torch summary)
declare -A weight=([build]=12 [conformance]=12 [sanitizer]=10 [ceilings]=7 [overhead]=3 [tune]=22 [peers]=18 [torch]=14 [summary]=1)

usage() { sed -n '2,/^# shellcheck /{/shellcheck/d;s/^# \{0,1\}//p}' "$0"; }
wrong() { echo "$1" >&2; usage >&2; exit 2; }
whole() { [[ ${2:-} =~ ^[1-9][0-9]{0,4}$ ]] || wrong "$1 takes a whole number"; }

parts=() out='' minutes=8 limit='' bin='' rows=bench/gpu/rows.jsonl
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    pack) parts+=(pack) ;;
    --out | --programs | --rows) [ -n "${2:-}" ] || wrong "$1 takes a path" ;;&
    --out) out=$2; shift ;;
    --programs) bin=$2; shift ;;
    --rows) rows=$2; shift ;;
    --minutes) whole "$1" "${2:-}"; minutes=$2; shift ;;
    --limit) whole "$1" "${2:-}"; limit=$2; shift ;;
    *) [ -n "${weight[$1]:-}" ] || wrong "unknown word '$1'"; parts+=("$1") ;;
    esac
    shift
done
if [ -z "$bin" ]; then
    bin=build-gpu
    if [ -x build-gpu-pack/gpu_probe ] && [ "${parts[*]}" != pack ]; then bin=build-gpu-pack; fi
fi

if [ "${parts[*]}" = pack ]; then exec scripts/gpu-build.sh pack; fi
case " ${parts[*]} " in *' pack '*) wrong 'pack is called alone' ;; esac
if [ "${parts[*]}" = summary ] && [ -n "$out" ]; then exec python3 bench/gpu/summary.py "$out"; fi
bin=$(realpath -m "$bin") rows=$(realpath "$rows") || exit 1

# --- is there a GPU? ---

# Where Python's nvidia packages are, the library looks for NVRTC and cuDNN too.
if [ -z "${VIRTUAL_ENV:-}" ]; then
    VIRTUAL_ENV=$(python3 -c 'import sys; print(sys.prefix)') || { echo 'python3 is needed' >&2; exit 1; }
    export VIRTUAL_ENV
fi
if [ -d "$bin/lib" ]; then export LD_LIBRARY_PATH=$bin/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# probe: one line of JSON about cuda:0. Built from its few files where no program is there yet.
probe() {
    local program=$bin/gpu_probe sources=()
    if [ ! -x "$program" ]; then
        program=$work/gpu_probe
        sources=(bench/gpu/probe.c bench/gpu/find.c runtime/base/*.c)
        for name in cuda_driver cuda_device nvrtc library; do sources+=("runtime/backend/$name.c"); done
        "${CC:-cc}" -std=gnu11 -O1 -I. -Iruntime/include "${sources[@]}" -o "$program" -ldl -lpthread -lm || return 1
    fi
    "$program"
}
machine=$(probe)
status=$?
if [ $status -ne 0 ]; then exit $status; fi

name=$(python3 bench/gpu/machine.py "$machine" name) arch=$(python3 bench/gpu/machine.py "$machine" arch) || exit 1
export ACTUNE_GPU_ARCH=${ACTUNE_GPU_ARCH:-$arch}
out=${out:-bench/results/$name/$(date -u +%F)}
mkdir -p "$out/state" || exit 1
out=$(realpath "$out") || exit 1
results=$out/results.jsonl log=$out/log.txt

# The run's own database and kernels: they stay with the results, so that a second call goes on, and are not committed.
export ACTUNE_DB=$out/state/actune.db XDG_CACHE_HOME=$out/state/cache
export ACTUNE_PEER_CUB=${ACTUNE_PEER_CUB:-$bin/libpeer_cub.so} ACTUNE_LIBRARY=${ACTUNE_LIBRARY:-$bin/libactune.so}
(umask 077 && mkdir -p "$XDG_CACHE_HOME") || exit 1

# record JSON: appended; a line that a killed program left unfinished is ended first.
record() {
    if [ -s "$results" ] && [ -n "$(tail -c 1 "$results")" ]; then echo >>"$results"; fi
    echo "$1" >>"$results"
}

# --- parts: standard output goes to results.jsonl, standard error to log.txt ---

# choose PART SECONDS: the command, in `command`. It ends by itself a little before its time is over.
choose() {
    local own=$(($2 * 9 / 10 + 1))
    case $1 in
    build) command=(scripts/gpu-build.sh) ;;
    ceilings | overhead) command=("$bin/gpu_$1") ;;
    torch) command=(python3 bench/gpu/torch_peer.py --rows "$rows" --results "$results" --seconds "$own") ;;
    *) command=(python3 bench/gpu/drive.py "$1" --programs "$bin" --rows "$rows" --results "$results" --seconds "$own") ;;
    esac
}

child='' current='' began=0 failed=0
# The parts run in sessions of their own, so that all that a part started can be ended, whatever it is waiting for.
stop_child() {
    [ -n "$child" ] || return 0
    kill -TERM -- "-$child" 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 -- "-$child" 2>/dev/null || return 0
        sleep 0.2
    done
    kill -KILL -- "-$child" 2>/dev/null
}
summarise() { python3 bench/gpu/summary.py "$out" 2>>"$log"; }
ended() {
    trap '' INT TERM HUP
    [ -n "$current" ] || exit 1
    stop_child
    record "{\"part\": \"$current\", \"status\": $1, \"seconds\": $((SECONDS - began))}"
    summarise
    echo "stopped in $current; what was found is in $out, the same command goes on from here" >&2
    exit 1
}
trap 'ended 130' INT
trap 'ended 143' TERM HUP

run_part() {
    current=$1 began=$SECONDS
    choose "$1" "$2"
    echo "== $1 ($2 s at most)" | tee -a "$log"
    record "{\"part\": \"$1\", \"status\": null, \"seconds\": null, \"limit\": $2}"
    if [ "$1" = build ]; then
        setsid timeout --kill-after 5 "$2" "${command[@]}" >>"$log" 2>&1 &
    else
        setsid timeout --kill-after 5 "$2" "${command[@]}" >>"$results" 2>>"$log" &
    fi
    child=$!
    wait "$child"
    status=$?
    child=''
    record "{\"part\": \"$1\", \"status\": $status, \"seconds\": $((SECONDS - began))}"
    case $status in
    0) ;;
    77) echo "skipped: $(tail -n 1 "$log")" ;;
    124 | 137) echo 'its time is over; call again to go on' ;;
    *) failed=1; tail -n 5 "$log" ;;
    esac
}

python3 bench/gpu/machine.py "$machine" "$bin" >"$work/machine" || exit 1
record "$(cat "$work/machine")"
tail -n 1 "$results" >>"$log"

if [ "$bin" != "$PWD/build-gpu" ]; then echo "== the programs of $bin; nothing is built" | tee -a "$log"; fi
todo=()
for part in "${parts[@]:-${every[@]}}"; do
    if [ ${#parts[@]} -eq 0 ] && [ "$part" != build ] && python3 bench/gpu/summary.py "$out" complete "$part"; then
        echo "== $part: done before"
    elif [ "$part" != summary ] && { [ "$part" != build ] || [ "$bin" = "$PWD/build-gpu" ]; }; then
        todo+=("$part")
    fi
done
if [ "${todo[0]:-build}" != build ] && [ ! -x "$bin/gpu_peers" ]; then
    echo "nothing is built in $bin: name the part build too" >&2
    exit 1
fi

deadline=$((SECONDS + minutes * 60))
for i in "${!todo[@]}"; do
    part=${todo[$i]} sum=1
    for later in "${todo[@]:$i}"; do sum=$((sum + weight[$later])); done
    share=$(((deadline - SECONDS) * weight[$part] / sum))
    if [ -n "$limit" ] && [ "$share" -gt "$limit" ]; then share=$limit; fi
    if [ "$share" -lt 1 ]; then echo "== $part: no time left; call again"; continue; fi
    run_part "$part" "$share"
    summarise
    if [ "$part" = build ] && [ "$status" -ne 0 ]; then
        echo 'not built: call again if the time was over; what this machine cannot build, "scripts/gpu-check.sh pack" makes elsewhere' >&2
        failed=1
        break
    fi
done
summarise || failed=1
sed '/^## Rows/,$d' "$out/summary.md"
echo "$out"
exit $failed
