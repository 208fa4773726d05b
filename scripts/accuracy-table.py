#!/usr/bin/env python3
"""Turns what `actune verify --all --json` measured into a table for people.

Usage: actune verify --all --json | scripts/accuracy-table.py docs
writes docs/accuracy-measured.md and, for `actune ops`, docs/accuracy-measured.tsv (the first device's).
Several outputs (another device's, an exhaustive run's) may be concatenated: a table for each device.
"""
import json
import pathlib
import sys

CLASSES = ("exact", "standard", "fast")
TYPES = ("f32", "f16", "bf16", "f64")


def read_all(text):
    decoder, at, rows = json.JSONDecoder(), 0, []
    while (at := at + len(text[at:]) - len(text[at:].lstrip())) < len(text):
        part, at = decoder.raw_decode(text, at)
        rows += part
    return rows


def activation_of(row):
    return row["spec"].rpartition("] ")[2]


def cell(rows):
    """The worst of a kernel's variants: ULP where that says something, else what it is off by; the share of what is allowed; FAILED."""
    if not rows:
        return ("", "")
    failed = () if all(row["passed"] for row in rows) else ("**FAILED**",)
    worst = max(rows, key=lambda row: row["share_of_bound"])
    if worst["accuracy"] == "fast" and worst["dtype_in"] == "f32":  # its bound is no matter of ULP
        return (f"{2e-4 * worst['share_of_bound']:.1e}", f"({100 * worst['share_of_bound']:.0f} %)") + failed
    error = f"{worst['max_error_ulp']:.2f}" if worst["max_error_ulp"] < 100 else f"{worst['max_error_absolute']:.1e} abs"
    return (error, f"({100 * worst['share_of_bound']:.0f} %)") + failed


def columns(rows):
    return [(dtype, name) for dtype in TYPES for name in CLASSES if any(r["dtype_in"] == dtype and r["accuracy"] == name for r in rows)]


def names_of(rows):
    return sorted({activation_of(row) for row in rows})


def table(rows, direction):
    rows = [row for row in rows if row["direction"] == direction]
    heads = columns(rows)
    lines = ["| | " + " | ".join(f"{dtype} {name}" for dtype, name in heads) + " |", "|" + "---|" * (len(heads) + 1)]
    for activation in names_of(rows):
        own = [row for row in rows if activation_of(row) == activation]
        cells = [" ".join(cell(of(own, head))) for head in heads]
        lines.append(f"| {activation} | " + " | ".join(cells) + " |")
    return lines


def of(rows, head):
    return [row for row in rows if (row["dtype_in"], row["accuracy"]) == head]


def tsv(rows):
    yield "# Written by scripts/accuracy-table.py: activation, direction, type, class, error, share of what is allowed."
    for direction in ("forward", "backward"):
        for activation in names_of(rows):
            own = [row for row in rows if row["direction"] == direction and activation_of(row) == activation]
            for dtype, name in columns(own):
                error, share = cell(of(own, (dtype, name)))[:2]
                yield "\t".join((activation, direction, dtype, name, error, share.strip("()")))


def document(devices):
    yield "# Accuracy, measured\n"
    yield "Written by `actune verify --all --json | scripts/accuracy-table.py docs`; what the classes promise is in [accuracy.md](accuracy.md)."
    yield "Each cell: the largest error seen, in ULP of the result (or absolute, where results near 0 make ULP meaningless), and its share"
    yield "of what the class allows; f32 fast: absolute, or relative to x beyond 1. One class stands for all where nothing is approximated (and for f64).\n"
    for device, rows in devices.items():
        count = sum(row["compared"] for row in rows)
        yield f"## {device}\n\n{len(rows)} kernels, {count:,} results compared.\n"
        for direction in ("forward", "backward"):
            yield f"### {direction}\n"
            yield from table(rows, direction)
            yield ""


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    rows = [row for row in read_all(sys.stdin.read()) if row["variant"] != "interpreter"]
    if not rows:
        sys.exit("accuracy-table.py: no rows on standard input; give it the output of `actune verify --all --json`")
    devices = {}
    for row in rows:
        devices.setdefault(f"{row['model']} ({row['capability']})", []).append(row)
    folder = pathlib.Path(sys.argv[1])
    (folder / "accuracy-measured.md").write_text("\n".join(document(devices)).rstrip() + "\n")
    (folder / "accuracy-measured.tsv").write_text("\n".join(tsv(next(iter(devices.values())))) + "\n")


if __name__ == "__main__":
    main()
