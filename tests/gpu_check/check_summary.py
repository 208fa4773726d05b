"""bench/gpu/summary.py on records whose answers are known."""
import math
import sys

sys.path.insert(0, sys.argv[1])
import summary


def arm(bench, row, name, ns, **more):
    record = {"bench": bench, "class": "unary", "row": row, "regime": "cold", "elements": 256 << 20, "arm": name, "bytes": 1 << 30, "status": "ok",
              "ns": ns, "gbps": (1 << 30) / ns, "over_ours": ns / 250e3, "over_ours_high": ns / 250e3 * 1.001}
    return {**record, **more}


relu, gelu = "relu forward f16 1x1x268435456", "[accuracy=exact] gelu forward f16 1x1x268435456"
records = [
    {"machine": {"device": "X", "commit": "a"}}, {"machine": {"device": "X", "commit": "b", "programs": "c"}},
    {"part": "peers", "status": None, "seconds": None, "limit": 9},
    arm("peers", relu, "cuMemcpyDtoD", 260e3), arm("peers", relu, "plain 256x4 exact", 248e3), arm("peers", relu, "ours", 250e3),
    arm("peers", relu, "cuDNN activation", 500e3), arm("peers", relu, "cuDNN graph, plan 1", 240e3),
    arm("peers", relu, "cub::DeviceTransform", 247e3, over_ours_high=1.01),
    arm("torch", relu, "PyTorch copy_", 255e3), arm("torch", relu, "ours", 250e3), arm("torch", relu, "PyTorch eager", 375e3),
    arm("peers", gelu, "cuMemcpyDtoD", 200e3, **{"class": "exact"}), arm("peers", gelu, "ours", 250e3, **{"class": "exact"}),
    arm("torch", gelu, "PyTorch eager", 1.0, **{"class": "exact", "status": "no Triton"}),
    {"bench": "overhead", "row": "execute", "overhead_ns": 99.0}, {"bench": "overhead", "row": "build", "spec": "relu", "nvrtc_ms": 61.0, "cache_ms": 1.0},
    {"bench": "peers", "row": relu, "done": 1}, {"bench": "peers", "left": 7},
    {"bench": "tune", "row": relu, "status": "it broke"}, {"bench": "tune", "row": gelu, "status": "it broke"},
    {"bench": "tune", "row": "late", "status": "no time", "late": True}, {"bench": "tune", "row": gelu, "done": 1},
]
s = summary.summarise(records)
goals = {g["goal"]: g for g in s["goals"]}


def is_goal(words, verdict, value=None):
    found = [g for title, g in goals.items() if words in title]
    assert len(found) == 1 and found[0]["verdict"] == verdict, (words, found)
    assert value is None or math.isclose(found[0]["measured"], value, rel_tol=1e-6), found


is_goal("unary, 256 MB", "pass", 248 / 250)  # of the better copy
is_goal("exact GELU", "MISS", 200 / 250)
is_goal("fast GELU", "not measured")
is_goal("execute over", "pass", 99)
is_goal("NVRTC", "MISS", 61)
is_goal("from the cache", "pass", 1)
is_goal("rows behind cuDNN", "MISS", 1)  # its graph is faster than ours by 4 %
is_goal("rows behind cub", "pass", 0)    # 1.2 % is a tie
is_goal("rows behind PyTorch eager", "pass", 0)
is_goal("PyTorch eager, unfused", "pass", 1.5)
is_goal("cuDNN, all rows", "MISS", 240 / 250)
is_goal("torch.compile, fused", "not measured")
rows = {r["row"]: r for r in s["rows"]}
assert math.isclose(rows[relu]["cuDNN"], 0.96) and rows[relu]["eager"] == 1.5 and "eager" not in rows[gelu], rows
assert s["parts"] == [{"part": "peers", "status": None, "seconds": None, "limit": 9, "rows": 1, "left": 7}], s["parts"]
assert [f["row"] for f in s["failures"]] == [relu], s["failures"]
assert not summary.complete(records, "peers")
assert summary.complete(records + [{"part": "peers", "status": None, "seconds": None, "limit": 9}, {"part": "peers", "status": 0, "seconds": 3}], "peers")
text = summary.markdown(s)
assert s["commits"] == ["a", "c"] and "**Of several commits**: a, c." in text
assert "cut short" in text and "| exact | [accuracy=exact] gelu" in text, text
