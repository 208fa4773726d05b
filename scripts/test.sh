#!/usr/bin/env bash
# Builds and runs every test; installs what they need. The last line counts: "N passed, N failed".
# Usage: scripts/test.sh [--quick]   --quick leaves the sanitizer build out
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h|--help) sed -n '2,3s/^# \{0,1\}//p' "$0"; exit 0;; esac

need_packages "${build_packages[@]}" "${monitor_packages[@]}" libcriterion-dev libmpfr-dev python3 pkg-config \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user python3-numpy python3-torch

# Tests never touch the user's own database and cache.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_CACHE_HOME=$scratch/cache XDG_DATA_HOME=$scratch/data XDG_RUNTIME_DIR=$scratch/run
mkdir -m 700 -p "$XDG_CACHE_HOME" "$XDG_DATA_HOME" "$XDG_RUNTIME_DIR"
unset ACTUNE_DB ACTUNE_ISA ACTUNE_CC ACTUNE_INTERPRET

passed=0 failed=0
# run_suite PRESET: builds the preset, runs its tests, adds to the counts.
run_suite() {
    echo "== $1"
    cmake --preset "$1" >"$scratch/configure.log" || { cat "$scratch/configure.log"; return 1; }
    cmake --build --preset "$1" -- --quiet
    ctest --preset "$1" --parallel "$(nproc)" --output-junit "$scratch/$1.xml" || true
    local total bad
    total=$(sed -n 's/^[[:space:]]*tests="\([0-9]*\)".*/\1/p' "$scratch/$1.xml" | head -n1)
    bad=$(sed -n 's/^[[:space:]]*failures="\([0-9]*\)".*/\1/p' "$scratch/$1.xml" | head -n1)
    passed=$((passed + total - bad)) failed=$((failed + bad))
}

run_suite dev
[ "${1:-}" = --quick ] || run_suite asan-ubsan
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
