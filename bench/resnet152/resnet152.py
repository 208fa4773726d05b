#!/usr/bin/env python3
"""ResNet-152 end to end: PyTorch eager, ours, torch.compile, in the same rounds; images per second, logits compared.

Usage: resnet152.py [--tiny] [--out FILE.jsonl] [--batches 1,16,64,256] [--formats nhwc-f16,nchw-f32] [--rounds N] [--seconds S]
One line of JSON a row, and a table. `--tiny`: a network of four blocks on small images, for a CPU: shows that it runs, not how fast.
The package actune and libactune.so must be found (PYTHONPATH, ACTUNE_LIBRARY).
"""
from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time

import torch

import network

FORMATS = {"nhwc-f16": (torch.channels_last, torch.float16), "nhwc-bf16": (torch.channels_last, torch.bfloat16), "nchw-f32": (torch.contiguous_format, torch.float32)}
TOLERANCE = {torch.float32: 2e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}  # of the logits' largest magnitude


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out")
    parser.add_argument("--batches", default="64,256,16,1")
    parser.add_argument("--formats", default="nhwc-f16,nchw-f32")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0, help="start no row after this time")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    options = parser.parse_args()
    for name in options.formats.split(","):
        if name not in FORMATS:
            parser.error(f"--formats takes {', '.join(FORMATS)}, not {name}")
    return options


class Arm:
    """One way to do a step. `step()` leaves what is compared in `result`."""

    def __init__(self, name, model, x, target=None):
        self.name, self.model, self.x, self.target, self.samples, self.result = name, model, x, target, [], None

    def step(self):
        if self.target is None:
            with torch.no_grad():
                self.result = self.model(self.x)
            return
        self.model.zero_grad(set_to_none=True)
        self.result = self.model(self.x)
        torch.nn.functional.cross_entropy(self.result.float(), self.target).backward()

    def time(self, cuda, repeat):
        if cuda:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(repeat):
                self.step()
            end.record()
            end.synchronize()
            return start.elapsed_time(end) / repeat / 1e3
        start = time.perf_counter()
        for _ in range(repeat):
            self.step()
        return (time.perf_counter() - start) / repeat


def make_arms(options, kind, memory, dtype, device, x, target):
    def model(change=lambda m: m):
        built, _ = network.build("tiny" if options.tiny else "resnet152")
        built = built.to(device=device, memory_format=memory)
        # Training keeps f32 weights where the device wants that of its batch norms; here all of the network has one type.
        return change((built.train() if target is not None else built.eval()).to(dtype))

    fused = network.fused_for_inference if kind == "inference" else network.fused_for_training
    makers = {"eager": model, "ours, ReLU alone": lambda: model(network.with_our_relu), "ours, fused": lambda: model(fused)}
    if hasattr(torch, "compile") and not options.no_compile:
        makers["torch.compile"] = lambda: torch.compile(model())
        makers["ours, fused, torch.compile"] = lambda: torch.compile(model(fused))
    arms, failed = [], {}
    for name, make in makers.items():
        try:
            arm = Arm(name, make(), x, target)
            for _ in range(3):
                arm.step()
            arms.append(arm)
        except Exception as error:  # an arm that does not run here is told, the others go on
            if name in ("eager", "ours, fused"):
                raise
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return arms, failed


def compare(arms, dtype):
    """Largest difference to eager's logits, as a share of their largest magnitude."""
    reference = arms[0].result.detach().float()
    scale = reference.abs().max().item()
    return {arm.name: (arm.result.detach().float() - reference).abs().max().item() / scale for arm in arms}


def race(arms, cuda, rounds):
    repeat = max(1, int(0.2 / max(1e-4, arms[0].time(cuda, 1))))
    order = list(arms)
    for _ in range(rounds):
        random.shuffle(order)
        for arm in order:
            arm.samples.append(arm.time(cuda, repeat))


def run_row(options, kind, format_name, batch, device):
    memory, dtype = FORMATS[format_name]
    side = 32 if options.tiny else 224
    torch.manual_seed(batch)
    x = torch.randn(batch, 3, side, side).to(device=device, dtype=dtype, memory_format=memory)
    target = torch.randint(0, 1000, (batch,), device=device) if kind == "training" else None
    arms, failed = make_arms(options, kind, memory, dtype, device, x, target)
    differences = compare(arms, dtype)
    race(arms, device != "cpu", options.rounds)
    eager = arms[0].samples
    row = {"network": "tiny" if options.tiny else "resnet152", "kind": kind, "format": format_name, "batch": batch, "device": device, "failed": failed,
           "origin": network.build("tiny" if options.tiny else "resnet152")[1], "torch": torch.__version__, "rounds": options.rounds, "arms": {}}
    for arm in arms:
        ratios = sorted(mine / other for mine, other in zip(eager, arm.samples))
        row["arms"][arm.name] = {"images_per_s": batch / statistics.median(arm.samples), "times_eager": statistics.median(ratios),
                                 "spread": [ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]], "logits_off": differences[arm.name]}
    row["agrees"] = all(off <= TOLERANCE[dtype] for off in differences.values())
    return row


def show(row):
    print(f"{row['network']} {row['kind']}, {row['format']}, batch {row['batch']}, {row['device']}")
    for name, arm in row["arms"].items():
        print(f"  {name:28s} {arm['images_per_s']:10.1f} images/s  {arm['times_eager']:5.2f} x eager  logits off by {arm['logits_off']:.1e}")
    for name, why in row["failed"].items():
        print(f"  {name:28s} does not run here: {why}")
    print("" if row["agrees"] else "  LOGITS DISAGREE", flush=True)


def main():
    options, started, status = parse(), time.perf_counter(), 0
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.tiny:
        print("resnet152.py: no CUDA device; --tiny runs on a CPU", file=sys.stderr)
        return 77
    if options.tiny:
        options.batches, options.formats = "2", "nhwc-bf16,nchw-f32" if device == "cpu" else options.formats
    random.seed(1)
    for batch in map(int, options.batches.split(",")):
        for format_name in options.formats.split(","):
            for kind in ("inference", "training"):
                if options.seconds and time.perf_counter() - started > options.seconds:
                    print(f"no time left for {kind}, {format_name}, batch {batch}")
                    continue
                row = run_row(options, kind, format_name, batch, device)
                show(row)
                status |= not row["agrees"]
                if options.out:
                    with open(options.out, "a") as file:
                        file.write(json.dumps(row) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
