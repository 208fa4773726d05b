#!/usr/bin/env bash
# Event files written, read back by Python without packages, and by TensorBoard itself where python3 can import it (PYTHON names another).
# Arguments: write_events, the source folder.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$work"
python3 "$2/tests/monitor/read_events.py" "$work"
python=${PYTHON:-python3}
"$python" -c 'from tensorboard.backend.event_processing import event_accumulator' 2>/dev/null || { echo 'no TensorBoard for Python: its own reader is skipped'; exit 0; }
"$python" - "$work/run/deeper" <<'PYTHON'
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0}).Reload()
tags = events.Tags()
layer = 'block "1"/relu/'
print({kind: names for kind, names in tags.items() if names})
assert {"loss", layer + "fraction_zero", layer + "dead_channels"} <= set(tags["scalars"]), tags
assert {"weights", layer + "active_per_channel"} <= set(tags["histograms"]), tags
assert {"note", layer + "layer"} <= set(tags["tensors"]), tags
assert [(e.step, round(e.value, 6)) for e in events.Scalars("loss")] == [(100 * i, round(1 / (i + 1), 6)) for i in range(10)]
assert events.Histograms("weights")[0].histogram_value.num == 7
# The loader of today's TensorBoard, which turns everything into tensors of a plugin.
plugins = {}
for event in EventFileLoader(next(__import__("glob").iglob(sys.argv[1] + "/events*"))).Load():
    for value in event.summary.value:
        plugins[value.tag] = plugins.get(value.tag) or value.metadata.plugin_data.plugin_name
        assert value.HasField("tensor"), value.tag
assert (plugins["loss"], plugins["weights"], plugins["note"]) == ("scalars", "histograms", "text"), plugins
PYTHON
echo 'as expected, TensorBoard included'
