#!/usr/bin/env bash
# Builds what scripts/gpu-check.sh runs, into build-gpu/; needs no GPU.
# Usage: scripts/gpu-build.sh [pack]
#   pack   then also into build-gpu-pack/, with the libraries that a bare machine lacks: to be carried to one that cannot build
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in '' | pack) ;; *) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

cmake -B build-gpu -DACTUNE_GPU_BENCH=ON -DCMAKE_BUILD_TYPE=Release
cmake --build build-gpu -j "${ACTUNE_BUILD_JOBS:-$(nproc)}" --target actune_cli actune_shared gpu_probe gpu_ceilings gpu_overhead gpu_peers
arch=${ACTUNE_GPU_ARCH:-sm_90} cub=build-gpu/libpeer_cub.so
if [ $cub -nt bench/gpu/peer_cub.cu ] && [ "$(cat $cub.arch)" = "$arch" ]; then
    echo "$cub is there"
elif nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc); then
    rm -f $cub
    if "$nvcc" -O3 -std=c++17 -arch="$arch" -shared -Xcompiler -fPIC bench/gpu/peer_cub.cu -o $cub; then
        echo "$arch" >$cub.arch
    else
        echo 'cub::DeviceTransform will be missing: nvcc could not compile it' >&2
    fi
else
    echo 'cub::DeviceTransform will be missing: there is no nvcc' >&2
fi

if [ "${1:-}" = pack ]; then
    to=build-gpu-pack
    mkdir -p $to/lib
    for name in actune gpu_probe gpu_ceilings gpu_overhead gpu_peers; do
        cp build-gpu/$name $to/
        ldd build-gpu/$name | awk '/=> \// && /sqlite|jansson/ {print $3}' | xargs -r cp -Lt $to/lib
    done
    cp -L build-gpu/libactune.so $to/
    if [ -e $cub ]; then cp $cub $to/; fi
    git describe --always --dirty >$to/commit 2>/dev/null || echo unknown >$to/commit
    strip $to/actune $to/gpu_* $to/*.so
    du -sh $to
fi
