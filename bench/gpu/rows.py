"""The list of rows, the records of a run, and which rows are still to do. Every part of scripts/gpu-check.sh appends JSON Lines to one file,
results.jsonl; a record {"row": ..., "done": 1} ends a row, so that a second run goes on behind it.
"""
import json
import math
import pathlib


def extents(r):
    """[outer, channels, inner], as actune_shape has them; a row of one axis has no channels."""
    shape = r["shape"]
    if len(shape) == 1:
        return [1, 1, shape[0]]
    if r["layout"] == "nchw":
        return [shape[0], shape[1], math.prod(shape[2:])]
    return [math.prod(shape[:-1]), shape[-1], 1]


def name(r):
    """As gpu_row_name in ours.c."""
    return f"{r['spec']} {r['direction']} {r['dtype']} {'x'.join(map(str, extents(r)))}"


def read(path):
    """The list, in its order."""
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines() if line.strip()]


def records(path):
    """Whatever can be read: a run that was killed may have left half a line."""
    path = pathlib.Path(path)
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def done(path, bench):
    return {r["row"] for r in records(path) if r.get("bench") == bench and r.get("done")}


def left(rows, path, bench):
    """The rows that are still to do."""
    over = done(path, bench)
    return [r for r in rows if name(r) not in over]


def tuned(rows, path):
    """Where a run has begun to tune, only what is tuned is raced."""
    over = done(path, "tune")
    return [r for r in rows if name(r) in over] if over else rows


def emit(bench, **fields):
    print(json.dumps({"bench": bench, **fields}), flush=True)


def line(r):
    """As gpu_peers reads it."""
    return "\t".join([r["layer"], r["spec"], r["direction"], r["dtype"], *map(str, extents(r))])
