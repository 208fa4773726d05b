"""Reads TensorBoard event files with nothing but Python: frames, checksums, the wire format of protocol buffers.
Shares no code with the writer. `read_events.py FOLDER` compares what write_events wrote with what it should be."""
import glob
import json
import math
import os
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path, check=True):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(data[at:at + 8]), "the length's checksum"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, "a record is cut"
        if check:
            assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), "the data's checksum"
        yield body
        at += length + 16


def fields(data):
    """{number: [values]}: integers, 8 or 4 raw bytes, or bytes."""
    result, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            assert key & 7 in (1, 2, 5)
            value, at = data[at:at + size], at + size
        result.setdefault(key >> 3, []).append(value)
    return result


def one(message, number, form, default=0.0):
    return struct.unpack(form, message[number][0])[0] if number in message else default


def doubles(raw):
    return list(struct.unpack("<%dd" % (len(raw) // 8), raw))


def value_of(value):
    """What a Summary.Value holds: a float, a dict of a histogram, a text."""
    if 2 in value:
        return one(value, 2, "<f")
    if 5 in value:
        histogram = fields(value[5][0])
        names = ("min", "max", "num", "sum", "sum_squares")
        result = {name: one(histogram, i + 1, "<d") for i, name in enumerate(names)}
        result.update(limit=doubles(histogram[6][0]), bucket=doubles(histogram[7][0]))
        return result
    assert fields(fields(value[9][0])[1][0])[1] == [b"text"], "plugin"
    tensor = fields(value[8][0])
    assert tensor[1] == [7], "DT_STRING"
    return tensor[8][0].decode()


def read(path, check=True):
    """[(tag, step, value)], after the version was checked."""
    result = []
    for i, record in enumerate(records(path, check)):
        event = fields(record)
        assert abs(one(event, 1, "<d") - os.path.getmtime(path)) < 600, "wall time"
        if i == 0:
            assert event[3] == [b"brain.Event:2"], event
            continue
        step = event.get(2, [0])[0]
        step -= 1 << 64 if step >> 63 else 0
        for raw in fields(event[5][0])[1]:
            value = fields(raw)
            result.append((value[1][0].decode(), step, value_of(value)))
    return result


def only(pattern):
    found = glob.glob(pattern)
    assert len(found) == 1, (pattern, found)
    return found[0]


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def check_run(folder):
    events = read(only(folder + "/run/deeper/events.out.tfevents.[0-9]*.v2"))
    assert [(t, s, v) for t, s, v in events if t == "loss"] == [("loss", 100 * i, f32(1 / (i + 1))) for i in range(10)]
    by_tag = {t: (s, v) for t, s, v in events}
    assert by_tag["strange/nan"][0] == -1 and math.isnan(by_tag["strange/nan"][1])
    assert by_tag["note"] == (0, "gr\u00fc\u00df")
    step, h = by_tag["weights"]
    assert (step, h["min"], h["max"], h["num"], h["sum"], h["sum_squares"]) == (7, -2, 3, 7, 2.5, 16.25)
    placed = [(low, high, n) for low, high, n in zip([-math.inf] + h["limit"], h["limit"], h["bucket"]) if n]
    values = sorted([-2, -1, 0, 0.5, 1, 1, 3])
    assert sum(n for _, _, n in placed) == 7
    for low, high, n in placed:
        assert sum(low <= v < high for v in values) == n, (low, high, n)
    # TensorFlow's limits: 1e-12 times powers of 1.1, and 0.
    powers = [1e-12]
    while powers[-1] * 1.1 < 1e20:
        powers.append(powers[-1] * 1.1)
    legal = set(powers) | {-p for p in powers} | {0.0, sys.float_info.max, -sys.float_info.max}
    assert set(h["limit"]) <= legal
    layer = 'block "1"/relu'
    expected = dict(count=40, fraction_nonpositive=15 / 40, fraction_zero=0.25, fraction_clipped=0.1, nan=1, inf=2, mean=0.25, variance=2,
                    absmax=6, channels=4, dead_channels=0.25, window=50)
    for name, value in expected.items():
        assert by_tag[layer + "/" + name] == (300, f32(value)), (name, by_tag[layer + "/" + name])
    active = by_tag[layer + "/active_per_channel"][1]
    assert (active["num"], active["min"], active["max"], active["sum"]) == (4, 0, 1, 0 + 0.5 + 0.9 + 1), active
    assert by_tag["empty/fraction_zero"] == (1, 0) and "empty/channels" not in by_tag
    about = dict(spec="bias | relu", device="cuda:0", in_place=True, training=True, is_input=False)
    assert json.loads(by_tag[layer + "/layer"][1]) == about
    with open(only(folder + "/run/deeper/actune.*.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert lines[0] == dict(about, layer=layer), lines[0]
    assert lines[1] == dict(expected, layer=layer, step=300), lines[1]
    assert lines[2]["mean"] is None and len(lines) == 3


def main(folder):
    assert crc32c(b"123456789") == 0xE3069283
    check_run(folder)
    full = read(only(folder + "/full/events*"))
    assert full == [("value", i, float(i)) for i in range(200)], "what the disk refused came later, in order"
    assert [s for _, s, _ in read(sorted(glob.glob(folder + "/flush/events*"))[0])] in ([1, 2, 3], [])
    together = read(only(folder + "/threads/events*"), check=False)
    assert sorted(s for _, s, _ in together) == sorted(list(range(500)) * 4)


if __name__ == "__main__":
    main(sys.argv[1])
