"""Runs the programs of a folder row by row, so that what was found is written when it is found. JSON Lines on standard output.

python3 drive.py conformance|sanitizer|tune|peers --programs FOLDER --rows LIST --results FILE --seconds N
"""
import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import rows

SKIPPED = 77
LEAST_SECONDS, MOST_SECONDS = 6, 40  # for one kernel


class Time:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def run(command, seconds):
    """Status, standard output, standard error; a command that takes longer is ended (124), which `actune` takes as a wish to stop."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        late = False
        try:
            out, err = child.communicate(timeout=max(1, seconds))
        except subprocess.TimeoutExpired:
            late = True
            child.terminate()
            try:
                out, err = child.communicate(timeout=3)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
    sys.stderr.write(err)
    return (124, "", f"no answer within {seconds:.0f} s") if late else (child.returncode, out, err)


def last_line(text):
    return (text.strip().splitlines() or ["no output"])[-1]


# --- tune ---

def tune_results(out, group):
    """One result a row, in their order; None where the program did not get so far."""
    try:
        found = json.loads(out)["results"]
    except (ValueError, KeyError):
        return None
    return found if len(found) == len(group) else None


def tune_rows(how, group, seconds):
    """One kernel at its sizes. How many rows failed, and for how many there was no time."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("".join(json.dumps(r) + "\n" for r in group))
        file.flush()
        command = [how.actune, "tune", "--device", "cuda:0", "--workload", file.name, "--budget", f"{seconds:.1f}", "--json"]
        status, out, err = run(command, 2 * seconds + 30)
    found, failed, late = tune_results(out, group), 0, 0
    for r, result in zip(group, found or [{"status": "FAILED", "message": last_line(err)}] * len(group)):
        fields = {k: v for k, v in result.items() if k not in ("spec", "direction", "dtype", "shape", "layout", "status", "message")}
        well, over = result["status"] == "OK", result["status"] == "INTERRUPTED" or status == 124
        rows.emit("tune", **{"row": rows.name(r), "class": r["layer"], **fields, "late": over, "status": "ok" if well else result["message"]})
        if well:
            rows.emit("tune", row=rows.name(r), done=1)
        elif over:
            late += 1
        else:
            failed += 1
    return failed, late


def tune(how, clock):
    failed = late = 0
    todo = rows.left(rows.read(how.rows), how.results, "tune")
    groups = [list(g) for _, g in itertools.groupby(todo, key=lambda r: (r["spec"], r["direction"], r["dtype"]))]
    for i, group in enumerate(groups):
        share = min(how.longest, max(how.least, clock.left() / (len(groups) - i)))
        if clock.left() < how.least:
            late += sum(map(len, groups[i:]))
            break
        counts = tune_rows(how, group, min(share, clock.left()))
        failed, late = failed + counts[0], late + counts[1]
    if late:
        rows.emit("tune", left=late)
    return 1 if failed else 0


# --- conformance ---

def verify_cases(how):
    """Specs of the list, most telling first, then every other activation; each in the types a GPU has."""
    specs = list(dict.fromkeys(r["spec"] for r in rows.read(how.rows)))
    status, out, _ = run([how.actune, "ops", "--json"], 30)
    if status == 0:
        specs += [op["name"] for op in json.loads(out) if op["kind"] == "activation" and op["name"] not in specs]
    return [(spec, dtype) for spec in specs for dtype in ("f16", "f32", "bf16")][:how.most]


def knows_device(how):
    return "--device" in run([how.actune, "verify", "--help"], 30)[1]


def verify_command(how, direct, spec, dtype):
    """`actune verify` on the device; where it is for CPUs only, the verification that comes before a race, into a database of its own."""
    kernel = [spec, "--device", "cuda:0", "--dtype", dtype, "--direction", "both", "--json"]
    if direct:
        return [how.actune, "verify"] + kernel
    if os.path.exists(how.scratch):
        os.remove(how.scratch)
    return [how.actune, "tune"] + kernel + ["--sizes", "4K", "--force", "--budget", how.budget, "--db", how.scratch]


def ours(found):
    """cuDNN is verified too; what it computes is its own affair."""
    return [r for r in found if not r["variant"].startswith("cudnn/")]


def verified(how, direct, out):
    """How many kernels were right, and what is wrong with the others."""
    if direct:
        found = json.loads(out)
        found = ours(found if isinstance(found, list) else found["results"])
        builds = []
    else:
        dump = json.loads(run([how.actune, "db", "dump", "--db", how.scratch], 30)[1])
        found, builds = ours(dump["verifications"]), ours(dump["builds"])
    bad = [r["variant"] + ": " + r["detail"] for r in found if not r["passed"]]
    bad += [r["variant"] + ": " + r["log"] for r in builds if not r["ok"]]
    return sum(r["passed"] for r in found), bad


def judge(how, direct, status, out, err):
    """A record's fields."""
    try:
        passed, bad = verified(how, direct, out)
    except (ValueError, KeyError):
        passed, bad = 0, [last_line(err)]
    if status != 0 and not bad:
        bad = [last_line(err)]
    if not passed and not bad:
        bad = ["nothing was verified"]
    return {"status": bad[0] if bad else "ok", "passed": passed, "failed": len(bad)}


def conformance(how, clock):
    well, direct = True, knows_device(how)
    cases = verify_cases(how)
    over = rows.done(how.results, "conformance")
    cases = [c for c in cases if " ".join(c) not in over]
    for i, case in enumerate(cases):
        if clock.left() < how.least:
            rows.emit("conformance", left=len(cases) - i)
            break
        found = run(verify_command(how, direct, *case), clock.left())
        if found[0] == 124:
            rows.emit("conformance", left=len(cases) - i)
            break
        fields = judge(how, direct, *found)
        rows.emit("conformance", row=" ".join(case), by="verify" if direct else "tune", **fields)
        if fields["failed"] == 0:
            rows.emit("conformance", row=" ".join(case), done=1)
        well = well and fields["failed"] == 0
    return 0 if well else 1


# --- sanitizer ---

SANITIZED = [("bias | gelu_tanh | clip(-6, 6)", "f16"), ("add | relu", "f32"), ("prelu(alpha=channel)", "bf16")]


def find_sanitizer():
    places = [os.environ.get("CUDA_HOME", ""), os.environ.get("CUDA_PATH", ""), "/usr/local/cuda"]
    return shutil.which("compute-sanitizer", path=os.pathsep.join([os.environ["PATH"]] + [p + "/bin" for p in places if p]))


def sanitizer(how, clock):
    program, direct, well = find_sanitizer(), knows_device(how), True
    if program is None:
        print("compute-sanitizer was not found: it comes with the CUDA toolkit", file=sys.stderr)
        return SKIPPED
    over = rows.done(how.results, "sanitizer")
    cases = [(tool, *case) for case in SANITIZED for tool in ("memcheck", "racecheck", "synccheck")][:how.most]
    for i, (tool, spec, dtype) in enumerate(cases):
        row = f"{tool} {spec} {dtype}"
        if row in over:
            continue
        if clock.left() < how.least:
            rows.emit("sanitizer", left=len(cases) - i)
            break
        command = [program, "--tool", tool, "--error-exitcode", "9"] + verify_command(how, direct, spec, dtype)
        status, out, err = run(command, clock.left())
        if status == 124:
            rows.emit("sanitizer", left=len(cases) - i)
            break
        words = {0: "ok", 9: "errors, see the log"}
        rows.emit("sanitizer", row=row, status=words.get(status, f"status {status}: {last_line(err or out)}"))
        if status == 0:
            rows.emit("sanitizer", row=row, done=1)
        else:
            sys.stderr.write(out)
        well = well and status == 0
    return 0 if well else 1


# --- peers ---

def peers(how, clock):
    """gpu_peers itself writes what it finds."""
    todo = rows.tuned(rows.left(rows.read(how.rows), how.results, "peers"), how.results)
    text = "".join(rows.line(r) + "\n" for r in todo)
    status = subprocess.run([how.programs + "/gpu_peers", "--seconds", f"{clock.left():.0f}"], input=text, text=True, check=False).returncode
    left = len(rows.left(todo, how.results, "peers"))
    if left:
        rows.emit("peers", left=left)
    return status


PARTS = {"conformance": conformance, "sanitizer": sanitizer, "tune": tune, "peers": peers}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=list(PARTS))
    for option in ("programs", "rows", "results"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    how = parser.parse_args()
    tiny = os.environ.get("ACTUNE_GPU_CHECK_TINY", "0") not in ("", "0")
    how.actune = how.programs + "/actune"
    how.most = 1 if tiny else None
    how.least, how.longest, how.budget = (1, 4, "0.4") if tiny else (LEAST_SECONDS, MOST_SECONDS, "2")
    with tempfile.TemporaryDirectory() as folder:
        how.scratch = folder + "/actune.db"
        return PARTS[how.part](how, Time(how.seconds))


if __name__ == "__main__":
    sys.exit(main())
