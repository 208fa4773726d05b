"""Results of scripts/gpu-check.sh: `rows LIST` prints rows for gpu_peers, `add DIR PART STATUS SECONDS FILE` adds a part's output to
DIR/results.json and writes DIR/summary.md anew."""
import json
import pathlib
import sys


def rows(path):
    for line in open(path):
        r = json.loads(line)
        s = r["shape"]
        shape = [1, 1, s[0]] if len(s) == 1 else [s[0], s[1], 1]
        print("\t".join([r["layer"], r["spec"], r["direction"], r["dtype"], *map(str, shape)]))


def records(text):
    """JSON Lines, one JSON document, or both after each other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("\n", at) + 1 or len(text)
            continue
        found += value if isinstance(value, list) else [value]
    return found


def races(part):
    """Records of arms, by what is raced."""
    groups = {}
    for r in part.get("records", []):
        if r.get("arm"):
            groups.setdefault((r["row"], r["elements"], r["regime"]), []).append(r)
    return groups


def table(results):
    out = ["| part | status | seconds |", "|---|---|---|"]
    for name, part in results.items():
        word = {0: "ok", 77: "skipped: not available here", 124: "ran out of time"}.get(part["status"], f"FAILED ({part['status']})")
        out.append(f"| {name} | {word} | {part['seconds']} |")
    out += ["", "Ratios: GB/s of algorithmic bytes over the best copy of the same run.", "",
            "| part | row | elements | regime | arm | GB/s | of the copy |", "|---|---|---|---|---|---|---|"]
    for name in ("ceilings", "peers"):
        for (row, elements, regime), arms in races(results.get(name, {})).items():
            copies = [a["gbps"] for a in arms if a.get("gbps") and a["arm"].startswith(("plain", "cuMemcpy"))]
            for a in arms:
                speed = f"{a['gbps']:.1f}" if a.get("gbps") else a["status"]
                share = f"{100 * a['gbps'] / max(copies):.1f} %" if a.get("gbps") and copies else ""
                out.append("| " + " | ".join([name, row.replace("|", "\\|").replace("\t", " "), str(elements), regime, a["arm"], speed,
                                              share]) + " |")
    goals = [("execute", "overhead_ns", 100), ("build", "nvrtc_ms", 60), ("build", "cache_ms", 2)]
    out += ["", "| goal | value | limit | |", "|---|---|---|---|"]
    for r in results.get("tune", {}).get("records", []):
        for row, key, limit in goals:
            if r.get("row") == row and r.get(key) is not None:
                out.append(f"| {key} {r.get('spec', '')} | {r[key]:.2f} | {limit} | {'pass' if r[key] < limit else 'MISS'} |".replace(" | relu", " \\| relu"))
    return "\n".join(out) + "\n"


def add(folder, part, status, seconds, path):
    folder = pathlib.Path(folder)
    file = folder / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results[part] = {"status": int(status), "seconds": int(seconds), "records": records(pathlib.Path(path).read_text())}
    file.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "summary.md").write_text(table(results))


if __name__ == "__main__":
    {"rows": rows, "add": add}[sys.argv[1]](*sys.argv[2:])
