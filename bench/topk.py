#!/usr/bin/env python3
"""torch.topk and scatter (forward), gather and scatter of the gradient (backward) beside topk(k), rounds in turn, on 1M elements. Arguments: the
program bench_topk, the element type (f32, f16, bf16, f64)."""
import statistics
import subprocess
import sys
import time

import torch

SHAPES = [(8, 2), (32, 4), (128, 16), (512, 32), (1024, 32), (4096, 410), (16384, 64), (65536, 6554)]
ELEMENTS = 1 << 20
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}


def timed(work):
    start = time.perf_counter_ns()
    result = work()
    return time.perf_counter_ns() - start, result


def forward(x, k, in_order):
    values, indices = torch.topk(x, k, dim=-1, sorted=in_order)
    return torch.zeros_like(x).scatter_(-1, indices, values), indices


def backward(dy, indices):
    return torch.zeros_like(dy).scatter_(-1, indices, dy.gather(-1, indices))


def main(program, dtype="f32", rounds=7):
    server = subprocess.Popen([program, "--serve", dtype], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    x = torch.randn(ELEMENTS).to(TYPES[dtype])
    dy = torch.randn(ELEMENTS).to(TYPES[dtype])
    print("torch %s, %d threads; %s, ns an element; torch / ours: forward (topk's results in order, in no order), backward" % (
        torch.__version__, torch.get_num_threads(), dtype))
    for columns, k in SHAPES:
        times, ratios = [], []
        for r in range(rounds + 1):
            server.stdin.write("%d %d\n" % (columns, k))
            server.stdin.flush()
            ours = [float(t) for t in server.stdout.readline().split()]
            assert ours[2] == ELEMENTS // columns * k, "ours keeps %d" % ours[2]
            rows = x.view(-1, columns)
            in_order, _ = timed(lambda: forward(rows, k, True))
            in_any, (_, indices) = timed(lambda: forward(rows, k, False))
            back, _ = timed(lambda: backward(dy.view(-1, columns), indices))
            if r:  # the first one warms
                times.append((ours[0], in_order, in_any, ours[1], back))
                ratios.append((in_order / ours[0], in_any / ours[0], back / ours[1]))
        median = [statistics.median(t) / ELEMENTS for t in zip(*times)]
        ratio = [statistics.median(t) for t in zip(*ratios)]
        print("%6d columns, k %5d: ours %6.3f, torch %7.3f and %7.3f: %6.1f and %6.1f; backward ours %6.3f, torch %6.3f: %5.2f" % (
            columns, k, median[0], median[1], median[2], ratio[0], ratio[1], median[3], median[4], ratio[2]))
    server.stdin.close()
    server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:3])
