"""Makes summary.md and summary.json of whatever results.jsonl holds: also of a run that was killed.

python3 summary.py FOLDER
python3 summary.py FOLDER complete PART    exit status 0: the part ended well there and left nothing over
"""
import json
import math
import pathlib
import sys

import rows

MB = 1 << 20
BYTES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}
TIE = 0.98  # two times within 2 % are a tie (the tuner's margin): the row is not behind
PEERS = [("cuDNN", "cuDNN"), ("cub", "cub::DeviceTransform"), ("eager", "PyTorch eager"), ("compile", "torch.compile"),
         ("autotune", "torch.compile max-autotune-pointwise")]
STATUS = {0: "ok", 77: "skipped", 124: "cut short by its limit", 130: "interrupted", 143: "interrupted"}


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


# --- what was measured ---

class Race:
    """One row in one bench: all its arms ran in the same rounds."""

    def __init__(self, bench, name):
        self.bench, self.name, self.arms = bench, name, {}

    def add(self, record):
        self.arms[record["arm"]] = record
        self.group, self.elements, self.regime = record.get("class", ""), record["elements"], record["regime"] or getattr(self, "regime", "")

    def well(self, wanted):
        return [a for n, a in self.arms.items() if wanted(n) and a.get("status") == "ok" and a.get("ns")]

    def ours(self, name="ours"):
        return next(iter(self.well(lambda n: n == name)), None)

    def copy_gbps(self):
        """The best copy of the same rounds, by any kernel or the driver."""
        return max((a["gbps"] for a in self.well(is_copy)), default=None)

    def of_copy(self):
        ours, copy = self.ours(), self.copy_gbps()
        return ours["gbps"] / copy if ours and copy else None

    def over_plain(self):
        """Our time over that of the best plain copy kernel of the same elements."""
        ours, plain = self.ours(), [a["ns"] for a in self.well(lambda n: n.startswith("plain"))]
        return ours["ns"] / min(plain) if ours and plain else None

    def over_empty(self):
        """Our time over that of a kernel that does nothing, in a graph."""
        ours, empty = self.ours(), self.ours("empty kernel")
        return ours["ns"] / empty["ns"] if ours and empty else None

    def peer(self, key, title):
        """The fastest arm of a peer."""
        arms = self.well(lambda n: n.startswith(title) if key == "cuDNN" else n == title)
        return min((a for a in arms if a.get("over_ours")), key=lambda a: a["over_ours"], default=None)

    def direction(self):
        return self.name.rsplit(" ", 3)[1]

    def tensor_bytes(self):
        return self.elements * BYTES.get(self.name.rsplit(" ", 3)[2], 0)


def is_copy(name):
    return name.startswith(("plain", "cuMemcpy", "PyTorch copy"))


def find_races(records, bench):
    races = {}
    for r in records:
        if r.get("bench") == bench and r.get("arm"):
            key = (r["row"], r["regime"], r["elements"]) if bench == "ceilings" else r["row"]
            races.setdefault(key, Race(bench, r["row"])).add(r)
    return list(races.values())


def find_parts(records):
    parts = {}
    for r in records:
        if r.get("part"):
            part = parts.setdefault(r["part"], {})
            part.update(r)
            if "limit" in r and r["status"] is None: # it begins
                part.pop("left", None)
        if r.get("bench") and "left" in r and r["bench"] in parts:
            parts[r["bench"]]["left"] = r["left"]
        elif r.get("done") and r.get("bench") in parts:
            parts[r["bench"]]["rows"] = parts[r["bench"]].get("rows", 0) + 1
    return list(parts.values())


# --- goals ---

def goal(title, wanted, values, worst, keeps):
    """`values`: (value, what it is of). The worst one decides."""
    if not values:
        return {"goal": title, "wanted": wanted, "measured": None, "of": "", "verdict": "not measured"}
    value, of = worst(values)
    return {"goal": title, "wanted": wanted, "measured": value, "of": of, "verdict": "pass" if keeps(value) else "MISS"}


def at_least(title, bound, values):
    return goal(title, f"at least {bound:g}", values, min, lambda v: v >= bound)


def under(title, bound, values):
    return goal(title, f"under {bound:g}", values, max, lambda v: v < bound)


def shares(races, groups, keep=lambda race: True):
    found = [(race.of_copy(), race.name) for race in races if race.group in groups and race.regime == "cold" and keep(race)]
    return [pair for pair in found if pair[0] is not None]


def large(race):
    return race.tensor_bytes() >= 256 * MB


def find_goals(races, records, peers):
    small = [(r.over_plain(), r.name) for r in races if r.regime == "warm" and r.group == "unary" and r.over_plain()]
    overhead = [r for r in records if r.get("bench") == "overhead" and r.get("row")]
    goals = [
        at_least("unary, 256 MB and up: share of the copy", 0.98, shares(races, ("unary",), large)),
        at_least("two reads, one write, 256 MB and up: share of the copy", 1.0, shares(races, ("2 reads", "backward"), large)),
        at_least("exact GELU and ELU in f16, 256 MB and up: share of the copy", 0.90, shares(races, ("exact",), large)),
        at_least("fast GELU in f16, 256 MB and up: share of the copy", 0.97, shares(races, ("fast",), large)),
        goal("small sizes: time over a plain copy kernel's", "at most 1.1", small, max, lambda v: v <= 1.1),
        under("execute over cuLaunchKernel, ns", 100, [(r["overhead_ns"], "") for r in overhead if r.get("overhead_ns") is not None]),
        under("NVRTC, one kernel, ms", 60, [(r["nvrtc_ms"], r["spec"]) for r in overhead if r.get("nvrtc_ms") is not None]),
        under("the same from the cache, ms", 2, [(r["cache_ms"], r["spec"]) for r in overhead if r.get("cache_ms") is not None])]
    for p in peers:
        goals.append(goal(f"rows behind {p['peer']}", "none", [(p["behind"], p["worst"])] if p["rows"] else [], max, lambda v: v == 0))
        if p["wanted"]:
            goals.append(at_least(f"{p['peer']}, {p['over']}: its time over ours, geometric mean", p["wanted"],
                                  [(p["mean_wanted"], "")] if p["mean_wanted"] else []))
    return goals


# issue by issue: which rows the geometric mean is of, and what it should be
MEANS = {"cuDNN": (1.3, "all rows", lambda race: True), "cub": (1.05, "all rows", lambda race: True),
         "eager": (1.2, "unfused", lambda race: race.group != "fused"), "compile": (1.1, "fused", lambda race: race.group == "fused")}


def find_peers(races):
    out = []
    for key, title in PEERS:
        pairs = [(race, race.peer(key, title)) for race in races]
        pairs = [(race, arm) for race, arm in pairs if arm]
        bound, over, keep = MEANS.get(key, (None, "", lambda race: True))
        behind = [(arm["over_ours"], race.name) for race, arm in pairs if arm["over_ours"] < TIE and arm["over_ours_high"] < 1]
        out.append({"peer": title, "rows": len(pairs), "mean": geometric_mean([arm["over_ours"] for _, arm in pairs]),
                    "wanted": bound, "over": over, "mean_wanted": geometric_mean([arm["over_ours"] for race, arm in pairs if keep(race)]),
                    "behind": len(behind), "worst": min(behind)[1] if behind else ""})
    return out


def find_rows(races):
    out = {}
    for race in races:
        ours = race.ours()
        r = out.setdefault(race.name, {"row": race.name, "class": race.group, "regime": race.regime})
        if ours and "gbps" not in r:
            again, untuned = race.ours("ours again"), race.ours("ours untuned")
            r.update(ns=ours["ns"], gbps=ours["gbps"], of_copy=race.of_copy(), over_empty=race.over_empty(), variant=ours.get("detail", ""),
                     null=again and again["over_ours"], untuned=untuned and untuned["over_ours"], throttled=ours.get("throttled", ""))
        elif "gbps" not in r:
            r["status"] = race.arms.get("ours", {}).get("status", "not measured")
        for key, title in PEERS:
            arm = race.peer(key, title)
            if arm:
                r[key] = arm["over_ours"]
    return list(out.values())


def find_ceilings(races):
    """The best of each, by size and regime."""
    out = []
    for race in races:
        arms = race.well(lambda n: True)
        if arms:
            best = max(arms, key=lambda a: a["gbps"])
            out.append({"what": race.name, "bytes": race.elements, "regime": race.regime, "gbps": best["gbps"], "by": best["arm"]})
    return out


def missing_arms(races):
    """Why an arm is not there: how many rows say so."""
    words = {}
    for race in races:
        for name, arm in race.arms.items():
            if arm.get("status") != "ok":
                words[(name, arm["status"])] = words.get((name, arm["status"]), 0) + 1
    return [{"arm": name, "why": why, "rows": n} for (name, why), n in sorted(words.items())]


def failures(records):
    """Rows whose last word is that they failed."""
    last = {}
    for r in records:
        if r.get("bench") in ("tune", "conformance", "sanitizer") and r.get("row"):
            last[(r["bench"], r["row"])] = "ok" if r.get("done") or r.get("late") else r["status"]
    return [{"part": bench, "row": row, "status": status} for (bench, row), status in last.items() if status != "ok"]


def summarise(records):
    races = find_races(records, "peers") + find_races(records, "torch")
    peers = find_peers(races)
    calls = [r["machine"] for r in records if r.get("machine")]
    commits = sorted({m.get("programs") or m.get("commit") or "unknown" for m in calls})
    return {"machine": calls[-1] if calls else {}, "commits": commits, "parts": find_parts(records), "goals": find_goals(races, records, peers), "peers": peers,
            "failures": failures(records), "ceilings": find_ceilings(find_races(records, "ceilings")), "rows": find_rows(races),
            "missing": missing_arms(races)}


# --- text ---

def number(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def table(headings, lines):
    cell = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    out = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return out + ["| " + " | ".join(map(cell, line)) + " |" for line in lines] + [""]


def part_line(p):
    word = "cut short" if p["status"] is None else STATUS.get(p["status"], f"FAILED ({p['status']})")
    return [p["part"], word, number(p["seconds"], "{:.0f}"), p.get("rows", ""), p.get("left", "")]


def size_text(count):
    for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
        if count >= 1 << shift and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return str(count)


def markdown(s):
    m = s["machine"]
    out = [f"# {m.get('device', 'no device')}", "", " · ".join(f"{k} {v}" for k, v in m.items() if k != "device"), ""]
    if len(s["commits"]) > 1:
        out += ["**Of several commits**: " + ", ".join(s["commits"]) + ". A row is of the one that was there when it was measured.", ""]
    out += table(["part", "status", "seconds", "rows done", "rows left"], map(part_line, s["parts"]))
    out += ["## Goals", "", "The worst row of each. The copy is the best one of the same rounds, by any kernel or the driver.", ""]
    out += table(["goal", "wanted", "measured", "", "row"],
                 [[g["goal"], g["wanted"], number(g["measured"], "{:.3g}"), g["verdict"], g["of"]] for g in s["goals"]])
    out += ["## Peers", "", "A peer's time over ours in the same rounds, geometric mean: above 1, ours is faster. Behind: by more than 2 %, and "
            "the interval says so.", ""]
    out += table(["peer", "rows", "mean", "rows behind", "the farthest"],
                 [[p["peer"], p["rows"], number(p["mean"]), p["behind"], p["worst"]] for p in s["peers"]])
    if s["failures"]:
        out += ["## Failures", ""] + table(["part", "row", "why"], [[f["part"], f["row"], f["status"]] for f in s["failures"]])
    out += ["## Rows", "", "null: the same kernel twice. untuned and the peers: their time over ours. empty: our time over that of a kernel that "
            "does nothing, where the tensors fit the cache.", ""]
    out += table(["class", "row", "regime", "GB/s", "of the copy", "empty", "null", "untuned"] + [key for key, _ in PEERS],
                 [[r["class"], r["row"], r["regime"], number(r.get("gbps"), "{:.0f}") or r.get("status", ""), number(r.get("of_copy"), "{:.1%}"),
                   number(r.get("over_empty")), number(r.get("null")), number(r.get("untuned"))] + [number(r.get(key)) for key, _ in PEERS] for r in s["rows"]])
    out += ["## Ceilings", ""]
    out += table(["what", "bytes of a tensor", "regime", "GB/s", "by"],
                 [[c["what"], size_text(c["bytes"]), c["regime"], f"{c['gbps']:.0f}", c["by"]] for c in s["ceilings"]])
    if s["missing"]:
        out += ["## Arms that are not there", ""] + table(["arm", "rows", "why"], [[a["arm"], a["rows"], a["why"]] for a in s["missing"]])
    return "\n".join(out)


def complete(records, name):
    part = next((p for p in find_parts(records) if p["part"] == name), {})
    return part.get("status") == 0 and not part.get("left")


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    records = list(rows.records(folder / "results.jsonl"))
    if len(sys.argv) == 4:
        sys.exit(0 if complete(records, sys.argv[3]) else 1)
    summary = summarise(records)
    for name, text in (("summary.json", json.dumps(summary, indent=1) + "\n"), ("summary.md", markdown(summary))):
        (folder / (name + ".new")).write_text(text)
        (folder / (name + ".new")).replace(folder / name)


if __name__ == "__main__":
    main()
