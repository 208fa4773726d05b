#!/usr/bin/env bash
# Generates kernels for AArch64, compiles them with the cross compiler, runs them under qemu-user against MPFR's intervals.
# Arguments: the export_neon program, the source folder.
set -eu
export_neon=$1 source=$2 cc=aarch64-linux-gnu-gcc
command -v "$cc" >/dev/null && command -v qemu-aarch64 >/dev/null || { echo "skipped: needs $cc and qemu-aarch64"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$export_neon" "$work"
cd "$work"
{
    echo '#include "runtime/base/kernel_abi.h"'
    sort -u symbols.txt | sed 's/.*/void &(const actune_slice *slice);/'
    echo 'const struct { const char *name; actune_kernel_fn function; } neon_symbols[] = {'
    sort -u symbols.txt | sed 's/.*/{"&", &},/'
    echo '{0, 0}};'
} >symbols.c
printf '%s\n' kernels*.c | xargs -P 2 -I{} "$cc" -O1 -ffp-contract=off -fno-math-errno -c {} 
# shellcheck disable=SC2086
"$cc" -std=gnu11 -O1 -I"$source" -I"$source/runtime/include" -D_GNU_SOURCE -o run_neon symbols.c "$source/tests/neon/run_neon.c" \
    "$source/runtime/base/dtype.c" kernels*.o -lm -Wl,--allow-multiple-definition
qemu-aarch64 -L /usr/aarch64-linux-gnu ./run_neon cases.bin
