"""Ours and PyTorch on the same buffers in the same rounds: eager, torch.compile, torch.compile with max-autotune-pointwise. Every arm is a CUDA
graph of nodes on PyTorch's stream, timed by its events; ours runs through libactune.so (ACTUNE_LIBRARY).

python3 torch_peer.py --rows LIST --results FILE --seconds N     JSON Lines on standard output
python3 torch_peer.py --rows LIST --check                        no GPU: do PyTorch's functions compute what ours do, on the CPU?
"""
import argparse
import inspect
import math
import os
import random
import statistics
import sys
import time

import actune_library
import nvml
import rows

try:
    import torch
except ImportError:
    torch = None

SKIPPED = 77
ROUNDS, REGION_NS, NODES_MAX, COLD_TIMES_L2 = 21, 1e6, 4096, 5
HEAD, TAIL = 65536, 4096  # elements that are compared
UNIT = {"f32": 2.0**-15, "f64": 2.0**-44, "f16": 2.0**-6, "bf16": 2.0**-3}  # as agree.c: what arms may be apart
TINY = os.environ.get("ACTUNE_GPU_CHECK_TINY", "0") not in ("", "0")


def torch_dtype(name):
    return {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}[name]


def torch_shape(row):
    outer, channels, inner = rows.extents(row)
    return (inner,) if (outer, channels) == (1, 1) else (outer, channels) if inner == 1 else (outer, channels, inner)


# --- what the arms work on ---

class Work:
    """A row's plans, its sets of tensors (5 times the L2 cache together where it is not warm), its operands."""

    def __init__(self, contexts, row, device, l2_bytes):
        self.row, self.plans = row, []
        for context in contexts:
            self.plans.append(actune_library.Plan(context, row))
        self.elements, self.device = math.prod(rows.extents(row)), device
        self.bytes = self.plans[0].moved_bytes
        self.cold = self.bytes > l2_bytes / 2
        self.out = next(name for name, _, _, written in self.plans[0].ports if written)
        self.operands, self.own = self.make_operands()
        first = self.make_set()
        self.sets = [first] + [self.copy_set(first) for _ in range(math.ceil(COLD_TIMES_L2 * l2_bytes / self.bytes) - 1 if self.cold else 0)]

    def whole(self, port):
        return port[2] == self.elements

    def make_operands(self):
        """Ones: what PyTorch broadcasts, in x's type as its users have them, and ours, in the port's."""
        shape, theirs, own = torch_shape(self.row), {}, {}
        for name, dtype, count, _ in [p for p in self.plans[0].ports if not self.whole(p)]:
            own[name] = torch.empty((count,), dtype=torch_dtype(dtype), device=self.device).fill_(1)
            theirs[name] = torch.empty((count, 1) if len(shape) == 3 else (count,), dtype=torch_dtype(self.row["dtype"]),
                                       device=self.device).fill_(1)
        return theirs, own

    def empty(self):
        return torch.empty(torch_shape(self.row), dtype=torch_dtype(self.row["dtype"]), device=self.device)

    def make_set(self):
        made = {name: self.empty().uniform_(-2, 2) for name, *_ in filter(self.whole, self.plans[0].ports)}
        return {**made, "OUT": made[self.out]}

    def copy_set(self, first):
        made = {name: self.empty().copy_(t) for name, t in first.items() if name != "OUT"}
        return {**made, "OUT": made[self.out]}

    def pointers(self, tensors):
        return [(tensors[name] if name in tensors else self.own[name]).data_ptr() for name, *_ in self.plans[0].ports]

    def close(self):
        for plan in self.plans:
            plan.close()


class Arm:
    def __init__(self, name, run, moved, computes=True, detail=""):
        self.name, self.run, self.bytes, self.computes, self.detail = name, run, moved, computes, detail
        self.graph, self.outputs, self.ns, self.difference, self.trouble = None, [], [], None, ""


def current_stream():
    return torch.cuda.current_stream().cuda_stream


def ours(work, plan, stream=current_stream):
    def run(tensors):
        plan.execute(work.pointers(tensors), stream())
        return tensors["OUT"]
    return run


def theirs(work, function, names):
    return lambda tensors: function(*[tensors[n] if n in tensors else work.operands[n] for n in names])


def find_function(work):
    """The function and its parameters' names; what forward gave is added to the sets where backward reads it."""
    import torch_functions
    function = torch_functions.find(work.row["spec"], work.row["direction"])
    if function is None:
        return None, []
    names = list(inspect.signature(function).parameters)
    if "y" in names:
        forward = torch_functions.find(work.row["spec"], "forward")
        run = theirs(work, forward, list(inspect.signature(forward).parameters))
        for tensors in work.sets:
            tensors["y"] = run(tensors)
    return function, names


def our_arms(work, stream=current_stream):
    tuned, untuned = work.plans
    return [Arm("ours", ours(work, tuned, stream), work.bytes, detail=tuned.detail),
            Arm("ours again", ours(work, tuned, stream), work.bytes, detail=tuned.detail),
            Arm("ours untuned", ours(work, untuned, stream), work.bytes, detail=untuned.detail)]


def their_arms(work):
    function, names = find_function(work)
    if function is None:
        return []
    torch._dynamo.reset()  # compiled for this row alone: after a few recompilations it would fall back to eager
    compiled = torch.compile(function, dynamic=False)
    tuned = torch.compile(function, dynamic=False, options={"max_autotune_pointwise": True})
    return [Arm("PyTorch eager", theirs(work, function, names), work.bytes),
            Arm("torch.compile", theirs(work, compiled, names), work.bytes),
            Arm("torch.compile max-autotune-pointwise", theirs(work, tuned, names), work.bytes)]


def copy_arm(work):
    moved = 2 * work.elements * actune_library.BYTES[work.row["dtype"]]
    return Arm("PyTorch copy_", lambda t: t["OUT"].copy_(t["x"] if "x" in t else t["dy"]), moved, computes=False)


# --- do they agree? ---

def looked_at(tensor):
    flat = tensor.flatten()
    return flat[:HEAD].cpu().tolist() + flat[max(HEAD, flat.numel() - TAIL):].cpu().tolist()


def apart(got, expected, dtype):
    """The largest difference as a share of what is allowed. Raises where it is more than that, or a NaN."""
    most = 0.0
    for i, (a, b) in enumerate(zip(got, expected)):
        share = abs(a - b) / (UNIT[dtype] * max(1, abs(b)))
        if not share <= 1:
            raise ValueError(f"it computes something else: element {i} of those compared is {a:g}, ours is {b:g}")
        most = max(most, share)
    return most


def try_once(work, arms):
    """Every arm once, ours first; one that fails or computes something else is out, with why."""
    expected = None
    for arm in arms:
        try:
            work.sets[0]["OUT"].fill_(math.nan)
            got = arm.run(work.sets[0])
            if work.device != "cpu":
                torch.cuda.synchronize()
            if arm.computes and expected is None:
                expected = looked_at(got)
            elif arm.computes:
                arm.difference = apart(looked_at(got), expected, work.row["dtype"])
        except Exception as error: # whatever a peer raises is its own end, not the others'
            arm.trouble = (str(error).strip().splitlines() or [type(error).__name__])[0]


# --- the race ---

def nodes_for(work):
    """Whole turns through the sets, long enough for the events."""
    nodes = max(2, 0 if TINY else REGION_NS / (1500 + work.bytes / 4000))
    return min(NODES_MAX, math.ceil(nodes / len(work.sets)) * len(work.sets))


def capture(work, arm, stream, nodes):
    """Outputs are kept: each set's is memory of its own, as ours are."""
    arm.outputs = [None] * len(work.sets)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for i in range(nodes):
            at = i % len(work.sets)
            arm.outputs[at] = arm.run(work.sets[at])
    arm.graph = graph
    launch(arm, stream)


def launch(arm, stream):
    """Nanoseconds of one launch."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with torch.cuda.stream(stream):
        start.record()
        arm.graph.replay()
        end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e6


def run_rounds(arms, stream, nodes, clocks):
    """Rounds in random order; a throttled one is done again, at most as many times as there are rounds."""
    order, discarded, seen, state = [a for a in arms if a.graph], 0, set(), ("", 0, 0)
    rounds = 3 if TINY else ROUNDS
    while order and len(order[0].ns) < rounds:
        random.shuffle(order)
        times = [(arm, launch(arm, stream) / nodes) for arm in order]
        state = clocks.read()
        seen |= {state[0]} - {""}
        if state[0] and discarded < rounds:
            discarded += 1
            continue
        for arm, ns in times:
            arm.ns.append(ns)
    return {"rounds": rounds, "discarded": discarded, "throttled": "; ".join(sorted(seen)), "sm_mhz": state[1], "memory_mhz": state[2]}


def interval(samples):
    """Median and the bootstrap's 95 %."""
    generator = random.Random(1)
    medians = sorted(statistics.median(generator.choices(samples, k=len(samples))) for _ in range(200))
    return statistics.median(samples), medians[5], medians[194]


def times(arm, reference):
    median, low, high = interval(arm.ns)
    fields = {"ns": median, "ns_low": low, "ns_high": high, "gbps": arm.bytes / median}
    if reference:
        ratio = interval([math.log(a / b) for a, b in zip(arm.ns, reference.ns)])
        fields.update(zip(("over_ours", "over_ours_low", "over_ours_high"), map(math.exp, ratio)))
    return fields


def report(work, arms, common):
    row = work.row
    reference = next((a for a in arms if a.name == "ours" and a.graph), None)
    about = {"class": row["layer"], "row": rows.name(row), "regime": "cold" if work.cold else "warm", "elements": work.elements}
    for arm in arms:
        fields = times(arm, reference) if arm.graph else {}
        if arm.difference is not None:
            fields["difference"] = arm.difference
        rows.emit("torch", **about, arm=arm.name, detail=arm.detail, bytes=arm.bytes, status=arm.trouble or "ok", **fields, **common)
    if len(arms) == 4:
        rows.emit("torch", **about, arm="PyTorch eager", status="PyTorch has nothing that computes just this")
    if reference is None:
        raise RuntimeError(next(a.trouble for a in arms if a.name == "ours"))
    rows.emit("torch", row=rows.name(row), done=1)


def race(contexts, row, clocks):
    l2_bytes = 4096 if TINY else torch.cuda.get_device_properties(0).L2_cache_size
    stream = torch.cuda.Stream()
    work = Work(contexts, row, "cuda", l2_bytes)
    try:
        for plan in work.plans:
            plan.prewarm(stream.cuda_stream)
        with torch.cuda.stream(stream):
            arms = [copy_arm(work)] + our_arms(work) + their_arms(work)
            try_once(work, arms)
        nodes = nodes_for(work)
        for arm in arms:
            try:
                if not arm.trouble:
                    capture(work, arm, stream, nodes)
            except Exception as error:
                arm.trouble, arm.graph = (str(error).strip().splitlines() or [type(error).__name__])[0], None
        common = run_rounds(arms, stream, nodes, clocks)
        report(work, arms, {"sets": len(work.sets), "nodes": nodes, **common})
    finally:
        torch.cuda.synchronize()
        work.close()


def fits(row):
    """Tensors, a copy of each and what PyTorch's pools hold for three arms; with 10 % to spare."""
    wanted = 9 * math.prod(rows.extents(row)) * actune_library.BYTES[row["dtype"]]
    return wanted <= 0.9 * torch.cuda.mem_get_info()[0]


def miss(row, why):
    rows.emit("torch", **{"class": row["layer"], "row": rows.name(row)}, regime="", elements=math.prod(rows.extents(row)), arm="ours",
              status=why)


def open_contexts(device):
    library = actune_library.Library(os.environ.get("ACTUNE_LIBRARY", "build-gpu/libactune.so"))
    return [actune_library.Context(library, device), actune_library.Context(library, device, "")]


def run(how):
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU: " + torch.__version__, file=sys.stderr)
        return SKIPPED
    torch.empty((1,), device="cuda")  # PyTorch makes the context that both use
    contexts, clocks, well, end = open_contexts("cuda:0"), nvml.Clocks(), True, time.monotonic() + how.seconds
    todo = rows.tuned(rows.left(rows.read(how.rows), how.results, "torch"), how.results)
    rows.emit("torch", version=torch.__version__, rows=len(todo))
    for i, row in enumerate(todo):
        if time.monotonic() > end:
            rows.emit("torch", left=len(todo) - i)
            break
        if not fits(row):
            miss(row, "does not fit into the memory that is free")
            rows.emit("torch", row=rows.name(row), done=1)
            continue
        try:
            race(contexts, row, clocks)
        except Exception as error:
            well = False
            miss(row, str(error))
        torch.cuda.empty_cache()  # what the next row does not use is others' (cudaMalloc of ours)
    for context in contexts:
        context.close()
    return 0 if well else 1


def check(how):
    """Every spec of the list once, small, on the CPU."""
    contexts, well, seen = open_contexts("cpu"), True, set()
    for row in rows.read(how.rows):
        key = (row["spec"], row["direction"], row["dtype"], row["layout"])
        if key in seen:
            continue
        seen.add(key)
        work = Work(contexts, {**row, "shape": [64] * len(row["shape"])}, "cpu", math.inf)
        arms = our_arms(work, lambda: None)
        function, names = find_function(work)
        arms += [Arm("PyTorch eager", theirs(work, function, names), work.bytes)] if function else []
        try_once(work, arms)
        for arm in arms:
            rows.emit("check", row=rows.name(work.row), arm=arm.name, status=arm.trouble or "ok", difference=arm.difference)
            well = well and not arm.trouble
        work.close()
    for context in contexts:
        context.close()
    return 0 if well else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--results")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--check", action="store_true")
    how = parser.parse_args()
    if torch is None:
        print("PyTorch is not installed for " + sys.executable, file=sys.stderr)
        return SKIPPED
    return check(how) if how.check else run(how)


if __name__ == "__main__":
    sys.exit(main())
