#!/usr/bin/env python3
"""torch.nn.utils.clip_grad_norm_ beside actune_clip_norm on the same 300 sizes, rounds in turn. Argument: the program bench_clip_list."""
import statistics
import subprocess
import sys
import time

import torch


def main(program, rounds=15):
    sizes = [int(line) for line in subprocess.run([program, "--sizes"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()]
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in sizes]
    for p in parameters:
        p.grad = torch.randn_like(p) / 100
    server = subprocess.Popen([program, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    times = {"ours, unclipped": [], "torch, unclipped": [], "ours, clipped": [], "torch, clipped": []}
    for r in range(rounds + 1):
        server.stdin.write("\n")
        server.stdin.flush()
        ours = [float(t) for t in server.stdout.readline().split()]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, 1e30))
        theirs = []
        for share in (1.5, 0.999999):
            start = time.perf_counter_ns()
            torch.nn.utils.clip_grad_norm_(parameters, norm * share)
            theirs.append(time.perf_counter_ns() - start)
        if r:  # the first one warms
            for name, t in zip(times, (ours[0], theirs[0], ours[1], theirs[1])):
                times[name].append(t)
    server.stdin.close()
    server.wait()
    print("torch %s, %d threads; %d tensors, %d elements of f32" % (torch.__version__, torch.get_num_threads(), len(sizes), sum(sizes)))
    for name, t in times.items():
        print("%-17s %9.3f ms" % (name, statistics.median(t) / 1e6))
    for what in ("unclipped", "clipped"):
        ratios = [b / a for a, b in zip(times["ours, " + what], times["torch, " + what])]
        print("torch / ours, %-9s %.2f" % (what, statistics.median(ratios)))


if __name__ == "__main__":
    main(*sys.argv[1:2])
