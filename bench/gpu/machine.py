"""What a run was made on: `python3 machine.py PROBE PROGRAMS` prints the first record of results.jsonl, `python3 machine.py PROBE name` the name of
its folder, `... arch` what nvcc calls its architecture. PROBE is the line of gpu_probe, PROGRAMS their folder."""
import datetime
import json
import pathlib
import re
import subprocess
import sys

ASKED = "driver_version,clocks.sm,clocks.mem,clocks_throttle_reasons.active,power.draw,temperature.gpu"


def said(*command):
    """A program's answer, "" where it has none."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def main():
    machine = json.loads(sys.argv[1])
    if sys.argv[2:] == ["name"]:
        print(re.sub(r"[^A-Za-z0-9]+", "-", machine["device"]).strip("-") or "gpu")
        return
    if sys.argv[2:] == ["arch"]:
        print(f"sm_{machine['arch']}")
        return
    machine["nvidia-smi"] = said("nvidia-smi", "--query-gpu=" + ASKED, "--format=csv,noheader")
    machine["commit"] = said("git", "describe", "--always", "--dirty")
    carried = pathlib.Path(sys.argv[2]) / "commit"  # programs that were built elsewhere, maybe of another commit
    if carried.exists():
        machine["programs"] = carried.read_text().strip()
    machine["started"] = datetime.datetime.now(datetime.timezone.utc).strftime("%F %T UTC")
    print(json.dumps({"machine": machine}))


if __name__ == "__main__":
    main()
