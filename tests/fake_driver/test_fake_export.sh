#!/usr/bin/env bash
# actune export --targets cpu,cuda on the fake NVRTC, and the library on the fake driver: cubins, PTX for newer devices, what is refused.
# Arguments: the program, the source folder, the build folder.
set -u
build=$3
. "$2/tests/cli/lib.sh"
command -v clang >/dev/null || { echo 'skipped: the emulation needs clang'; exit 77; }
case $(sed -n 's/^CMAKE_C_FLAGS:[A-Z]*=//p' "$build/CMakeCache.txt") in *-fsanitize*) echo 'skipped: the fakes want their program to be sanitized'; exit 77 ;; esac
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

export ACTUNE_FAKE_CACHE=$work/fake-cache ACTUNE_FAKE_REPORT=$work/report
mkdir "$ACTUNE_FAKE_CACHE"
fakes=$build/fake_driver
ok 'export' env ACTUNE_NVRTC="$fakes/libnvrtc.so" "$actune" export 'layer=bias | gelu_tanh' --name gpu --direction both --grad-of bias --targets cpu,cuda --archs sm_80,sm_90 \
    --isa x86-64-v2 -o gpu || finish
[ -n "$(find gpu/src/cuda/sm_80 -name '*.cu')" ] || fail 'no CUDA sources'
strange=$(ldd gpu/lib/libgpu.so | grep -vE '(linux-vdso|libc|libm|ld-linux[a-z0-9_-]*)\.so') && fail "libgpu.so needs $strange"
ok 'consumer' cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror "$source/tests/fake_driver/exported_gpu.c" -Igpu/include gpu/lib/libgpu.a -o program -lm -pthread -ldl || finish

for arch in 90 80 100; do # two cubins; PTX of sm_90
    : >report
    ok "on sm_$arch" env ACTUNE_LIBCUDA="$fakes/libcuda.so.1" ACTUNE_FAKE_ARCH=$arch ./program
    [ ! -s report ] || { fail "sm_$arch: the driver complains:"; cat report; }
done
ok 'too old a device' env ACTUNE_LIBCUDA="$fakes/libcuda.so.1" ACTUNE_FAKE_ARCH=75 ./program 'sm_75, the library was made for sm_90, sm_80'
ok 'no driver' env ACTUNE_LIBCUDA=/nonexistent.so ./program 'cannot be loaded'
refused 1 'ACTUNE_NVRTC names' env ACTUNE_NVRTC=/nonexistent.so "$actune" export relu --targets cuda --archs sm_90 -o none
[ ! -e none ] || fail 'something was left behind'
finish
