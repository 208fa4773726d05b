#!/usr/bin/env python3
"""Writes rows.jsonl, the list that scripts/gpu-check.sh tunes and races, in the form of `actune tune --workload`: most telling rows first, so that
a run that ends early has what the goals ask for.

"layer" is the class of a row, which says what its goal is (summary.py). Left out until the library has them: int8, gated halves, global-norm clips.
"""
import json
import sys

K, M = 1 << 10, 1 << 20
ACTIVATIONS = ["relu", "gelu", "silu", "gelu_tanh", "elu", "sigmoid", "tanh", "leaky_relu", "clip(0, 6)", "hardswish", "mish",
               "prelu(alpha=channel)"]
LARGE, SMALL = [256 * M, 16 * M], [1 * M, 64 * K]
RESNET = {"nhwc": [64, 56, 56, 256], "nchw": [64, 256, 56, 56]}


def row(name, spec, direction, dtype, shape, layout="rows"):
    return {"model": "gpu-check", "layer": name, "spec": spec, "direction": direction, "dtype": dtype, "layout": layout, "shape": shape,
            "count": 1}


def sizes(name, spec, direction, dtype, elements):
    """The sizes of one kernel beside each other: they are tuned together."""
    wide = "bias" in spec or "channel" in spec
    return [row(name, spec, direction, dtype, [n // 4096, 4096] if wide else [n]) for n in elements]


def goals():
    """What the goals are about, a few of each."""
    yield from sizes("unary", "relu", "forward", "f16", LARGE + SMALL)
    yield from sizes("exact", "[accuracy=exact] gelu", "forward", "f16", LARGE)
    yield from sizes("fast", "[accuracy=fast] gelu", "forward", "f16", LARGE)
    yield from sizes("2 reads", "add | relu", "forward", "f16", LARGE + SMALL[1:])
    yield from sizes("fused", "bias | gelu_tanh | clip(-6, 6)", "forward", "f16", LARGE)
    yield from sizes("unary", "relu", "forward", "f32", LARGE + SMALL)
    yield from sizes("exact", "[accuracy=exact] elu", "forward", "f16", LARGE)
    yield from sizes("2 reads", "silu | mul", "forward", "bf16", LARGE + SMALL[1:])
    for layout, shape in RESNET.items():
        yield row("fused", "scale_shift | add | relu", "forward", "f16", shape, layout)
    yield from sizes("unary", "gelu", "forward", "f16", LARGE + SMALL)
    yield from sizes("backward", "gelu", "backward", "f16", LARGE)
    yield from sizes("unary", "silu", "forward", "f32", LARGE + SMALL)
    yield from sizes("copy", "identity", "forward", "f32", LARGE)


def rest():
    """Every activation, type, direction and size; large and forward first."""
    for elements in (LARGE, SMALL):
        for dtype in ("f16", "f32", "bf16"):
            for direction, name in (("forward", "unary"), ("backward", "backward")):
                for spec in ACTIVATIONS:
                    yield from sizes(name, spec, direction, dtype, elements)
                if elements is LARGE:
                    yield from sizes("fused", "bias | gelu_tanh | clip(-6, 6)", direction, dtype, LARGE[1:])
                    yield from sizes("fused", "grad_clip(1) | relu", direction, dtype, LARGE[1:] if direction == "backward" else [])
                    for layout, shape in RESNET.items():
                        yield row("fused", "scale_shift | add | relu", direction, dtype, shape, layout)


def main():
    seen = set()
    for part in (goals(), rest()):
        for r in part:
            key = json.dumps([r[k] for k in ("spec", "direction", "dtype", "layout", "shape")])
            if key not in seen:
                seen.add(key)
                sys.stdout.write(json.dumps(r) + "\n")


if __name__ == "__main__":
    main()
