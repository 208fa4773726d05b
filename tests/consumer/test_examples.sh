#!/usr/bin/env bash
# The examples of JIT in a host program, built as their first lines say with what this build has, and run: a network on the CPU, a server's
# loop that records, and (where cuda.h is) streams and a graph on the fake driver.
# Arguments: the program, the source folder, the build folder.
set -u
build=$3
. "$2/tests/cli/lib.sh"
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
CC=$(cached CMAKE_C_COMPILER)
read -ra cflags <<<"$(cached CMAKE_C_FLAGS)"

example() { # NAME FLAGS...: built into $work
    local name=$1
    shift
    ok "building $name" "$CC" "${cflags[@]}" -std=gnu11 -O2 -Wall -Wextra -Werror "$source/examples/$name.c" -I"$source/runtime/include" \
        -o "$work/$name" "$@" -L"$build" -lactune -Wl,-rpath,"$build" -pthread
}

test_mlp() {
    example mlp && ok "mlp" "$work/mlp" || return
    says_line '^layer 1: bias \| gelu_tanh \| clip\(-6, 6\) +(cpu/|interpreter)' && says_line '^20 batches of 32: .* mean of the outputs -?[0-9]'
}
says_line() { grep -qE -- "$1" "$work/out" || { echo "FAILED: no '$1' in:"; cat "$work/out"; failures=$((failures + 1)); }; }

test_server() {
    export ACTUNE_DB=$work/server.db
    example server && ok "server" "$work/server" || return
    says_line '^2000 requests by 4 threads, 0 failed$'
    says_line '^bias \| silu \| clip\(-4, 4\), forward, \[128, 64, 1\]: '
    ok "what it recorded is tuned" "$actune" tune --recorded --budget 100
    says_line '^bias \| silu \| clip'
    ok "server again" "$work/server" && says_line '\(exact\)'
}

test_cuda() {
    local include=
    for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /usr; do
        [ -n "$folder" ] && [ -f "$folder/include/cuda.h" ] && include=$folder/include && break
    done
    [ -n "$include" ] && [ -f "$build/fake_driver/libcuda.so.1" ] || { echo "no cuda.h: mlp_cuda skipped"; return; }
    export ACTUNE_LIBCUDA=$build/fake_driver/libcuda.so.1 ACTUNE_NVRTC=$build/fake_driver/libnvrtc.so ACTUNE_CUDNN=none
    example mlp_cuda -I"$include" -Wl,--allow-shlib-undefined "$build/fake_driver/libcuda.so.1" -Wl,-rpath,"$build/fake_driver" || return
    ok "mlp_cuda" "$work/mlp_cuda" && says_line '^2 kernels in a graph, launched 5 times; 2 streams; 0 of 12288 results wrong$'
}

# Units die in the example; what the fused statistics say of it reaches TensorBoard's files and the doctor.
test_training() {
    [ -f "$build/libactune_monitor.so" ] || { echo "no actune::monitor: training skipped"; return; }
    example training -I"$source/monitor/include" -lactune_monitor -lm && ok "training" "$work/training" "$work/runs" || return
    says_line '^step 59: .* [1-9][0-9]* of 64 units dead$'
    ok "advice" "$actune" doctor --stats "$work"/runs/actune*.jsonl
    says_line '^hidden/relu: dead units: .*Lower the learning rate; leaky_relu'
    ok "advice from the event file" "$actune" doctor --stats "$work"/runs/events*
    says_line '^hidden/relu: dead units: '
}

test_mlp
test_server
test_training
case $(cached CMAKE_C_FLAGS) in *-fsanitize*) ;; *) test_cuda ;; esac
finish
