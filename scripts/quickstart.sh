#!/usr/bin/env bash
# From a clean clone to tuned kernels: installs what is missing, builds, tunes the activation layers of a real network on this
# machine, runs them, and prints what won and what the network's activations cost before and after. Under 3 minutes on 2 cores.
#
# Usage: scripts/quickstart.sh [WORKLOAD]   default: bench/workloads/resnet152.jsonl
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0;; esac
workload=${1:-bench/workloads/resnet152.jsonl}

need_packages "${build_packages[@]}"
cmake --preset release >/dev/null
cmake --build --preset release
actune=build/actune

"$actune" doctor
echo
echo "Tuning the f32 NCHW layers of $workload, batch 1 (kept in the database: the next run says so at once)."
"$actune" tune --workload "$workload" --batch 1 --dtype f32 --layout nchw --direction forward --budget "${ACTUNE_QUICKSTART_SECONDS:-75}"
