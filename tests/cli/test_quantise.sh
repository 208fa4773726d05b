#!/usr/bin/env bash
# Quantised tensors through the program, against exact arithmetic in Python: ONNX's QuantizeLinear and DequantizeLinear, int8, fp8, gradients.
. "$(dirname "$0")/lib.sh"

cat >oracle.py <<'P'
"""ONNX's reference semantics. Division of two floats in double, then rounded to float, is the float division."""
import math, struct, random, npy

def f32(x):
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)

def divide(x, s):
    return x if math.isnan(x) or math.isinf(x) else f32(x / s)

def clamp(x, lo, hi):
    return lo if x < lo else hi if x > hi else x

def quantise(x, s, lo, hi, zero=0):
    v = divide(x, f32(s))
    if math.isnan(v):
        return zero
    if math.isinf(v):
        return lo if v < 0 else hi
    return clamp(round(v) + zero, lo, hi)  # round() is half to even

def e4m3(code):
    e, m = code >> 3 & 15, code & 7
    v = math.nan if code & 0x7f == 0x7f else (m / 8 * 2.0 ** -6 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7))
    return -v if code & 0x80 else v

def to_e4m3(v):
    if math.isnan(v):
        return 0x7f
    sign = 0x80 if math.copysign(1, v) < 0 else 0
    size = min(abs(v), 448.0)
    return sign | min(range(0x7f), key=lambda c: (abs(e4m3(c) - size), c & 1))
P
python3 - <<'P'
import npy, random, math
random.seed(3)
special = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e30, -1e30, 1e-40, 0.025, 0.075, -0.125, 6.35, -6.35, 6.375, 12.75]
x = special + [random.gauss(0, 3) for _ in range(700)] + [0.05 * (k + 0.5) for k in range(-140, 141)] + [0.25 * k for k in range(-20, 20)]
npy.write("x.npy", x)
npy.write("x2.npy", [random.gauss(0, 3) for _ in range(7 * 5)], (7, 5))
npy.write("s5.npy", [0.01, 0.02, 0.5, 1.0, 3.0])
npy.write("s1.npy", [0.125])
npy.write("z1.npy", [3.0])
npy.write("q.npy", list(range(-128, 128)), descr="|i1")
npy.write("u.npy", list(range(256)), descr="|u1")
npy.write("xf.npy", [random.gauss(0, 10) for _ in range(400)])
npy.write("dyf.npy", [random.gauss(0, 1) for _ in range(400)])
npy.write("dy.npy", [random.gauss(0, 1) for _ in x])
npy.write("h.npy", [0.5 * i for i in range(-20, 20)], descr="<f2")
P

ok 'i8' "$actune" apply 'quantize(i8, scale=0.05)' --input x.npy --output i8.npy
ok 'i8 behind an activation' "$actune" apply 'relu | quantize(i8, scale=0.05)' --dtype f32 --input x.npy --output r8.npy
ok 'u8 with a zero point' "$actune" apply 'quantize(u8, scale=0.05, zero_point=128)' --input x.npy --output u8.npy
ok 'a scale and a zero point as operands' "$actune" apply 'quantize(u8, scale=tensor, zero_point=tensor)' --input x.npy --output u8t.npy \
    --operand scale=s1.npy --operand zero_point=z1.npy
ok 'a scale a channel' "$actune" apply 'quantize(i8, scale=channel)' --input x2.npy --output i8c.npy --operand scale=s5.npy
ok 'f8e4m3' "$actune" apply 'quantize(f8e4m3, scale=0.125)' --input x.npy --output f8.npy
ok 'from f16' "$actune" apply 'quantize(i8, scale=0.25)' --input h.npy --output h8.npy
ok 'dequantize' "$actune" apply 'dequantize(scale=0.1, zero_point=3)' --dtype u8:f32 --input u.npy --output d.npy
ok 'fp8 to floats' "$actune" apply 'dequantize(scale=1)' --dtype f8e4m3:f32 --input u.npy --output d8.npy
ok 'i8 to i8' "$actune" apply 'dequantize(scale=0.1) | leaky_relu(0.25) | quantize(i8, scale=0.05)' --dtype i8 --input q.npy --output qq.npy
ok 'fake quantisation' "$actune" apply 'quantize(i8, scale=0.05) | dequantize(scale=0.05)' --input x.npy --output fake.npy
ok 'its gradient' "$actune" apply 'quantize(i8, scale=0.05) | dequantize(scale=0.05)' --backward --input x.npy --grad dy.npy --output dfake.npy
ok 'the gradient of codes' "$actune" apply 'quantize(i8, scale=0.25)' --backward --input x.npy --grad dy.npy --output dq.npy
ok 'a learned scale' "$actune" apply 'quantize(i8, scale=tensor) | dequantize(scale=tensor)' --backward --input xf.npy --grad dyf.npy --output dl.npy \
    --operand scale=s1.npy --operand scale2=s1.npy --grad-of scale=ds.npy --grad-of scale2=ds2.npy
ok 'the numbers are those of ONNX and of OCP' python3 - <<'P'
from oracle import *
x, dy = npy.read("x.npy")[0], npy.read("dy.npy")[0]
relu = [v if v > 0 or math.isnan(v) else 0.0 for v in x]
def check(name, want):
    got = npy.read(name + ".npy")[0]
    assert len(got) == len(want), name
    for i, (g, w) in enumerate(zip(got, want)):
        assert g == w or (g != g and w != w), (name, i, g, w)
check("i8", [quantise(v, 0.05, -127, 127) for v in x])
check("r8", [quantise(v, 0.05, -127, 127) for v in relu])
check("u8", [quantise(v, 0.05, 0, 255, 128) for v in x])
check("u8t", [quantise(v, 0.125, 0, 255, 3) for v in x])
s5 = npy.read("s5.npy")[0]
check("i8c", [quantise(v, s5[i % 5], -127, 127) for i, v in enumerate(npy.read("x2.npy")[0])])
check("f8", [to_e4m3(divide(v, 0.125)) for v in x])
check("h8", [quantise(v, 0.25, -127, 127) for v in npy.read("h.npy")[0]])
check("d", [f32((u - 3) * f32(0.1)) for u in range(256)])
check("d8", [e4m3(u) for u in range(256)])
ten = f32(0.1)
check("qq", [quantise(f32(q * ten) if q > 0 else f32(f32(q * ten) * 0.25), 0.05, -127, 127) for q in range(-128, 128)])
check("fake", [f32(quantise(v, 0.05, -127, 127) * f32(0.05)) for v in x])
# Straight through, but for what saturates (torch's fake_quantize); NaN passes.
def inside(v, s):
    v = divide(v, f32(s))
    return math.isnan(v) or (not math.isinf(v) and abs(round(v)) <= 127)
got, codes = npy.read("dfake.npy")[0], npy.read("dq.npy")[0]
for v, d, g, c in zip(x, dy, got, codes):
    assert abs(g - (d if inside(v, 0.05) else 0)) <= 1e-6 * abs(d), (v, d, g)
    assert abs(c - (d / 0.25 if inside(v, 0.25) else 0)) <= 1e-5 * abs(d), (v, d, c)
# A learned step (LSQ): the quantiser's part is -dy x/s inside, the dequantiser's dy q.
s, pairs = 0.125, list(zip(npy.read("xf.npy")[0], npy.read("dyf.npy")[0]))
assert sum(not inside(v, s) for v, _ in pairs) > 20
for name, terms in (("ds", [-d * divide(v, s) if inside(v, s) else 0 for v, d in pairs]), ("ds2", [d * quantise(v, s, -127, 127) for v, d in pairs])):
    got = npy.read(name + ".npy")[0][0]
    assert abs(got - sum(terms)) <= 1e-5 * sum(abs(t) for t in terms), (name, got, sum(terms))
P
# Calibration: against all of the numbers, sorted, and against a scan of thresholds with exact errors.
python3 - <<'P'
import npy, random, math
random.seed(8)
a = [random.gauss(0, 1) for _ in range(3000)] + [40.0, -37.5]
b = [random.gauss(0, 2) for _ in range(2000)] + [math.nan, math.inf, 0.0]
npy.write("a.npy", a)
npy.write("b.npy", b)
npy.write("c.npy", [random.gauss(0, 10 ** (i % 3)) for i in range(900)], (300, 3))
npy.write("g.npy", [0.1 * (k * 37 % 255 - 127) for k in range(2000)] + [13.0, -13.0])
npy.write("zeros.npy", [0.0] * 5)
npy.write("h.npy", [random.gauss(0, 3) for _ in range(500)], descr="<f2")
P
cal() {
    local name=$1
    shift
    ok "calibrate $name" "$actune" calibrate "$@" && cp out "$name.txt"
}
cal max identity --input a.npy --input b.npy
cal relu_max relu --input a.npy --dtype u8
cal pct identity --input a.npy --input b.npy --method percentile --percentile 99
cal hpct identity --input h.npy --method percentile --percentile 90
cal mse identity --input a.npy --input b.npy --method mse
cal grid identity --input g.npy --method mse
cal mse8 identity --input a.npy --input b.npy --method mse --dtype f8e4m3
cal channel identity --input c.npy --channel --layout rows --output s3.npy
cal json identity --input a.npy --json
ok 'the scales are right' python3 - <<'P'
from oracle import *
import json
def got(name): return [float(line) for line in open(name + ".txt")]
a, b, c, h = (npy.read(n + ".npy")[0] for n in "abch")
every = sorted(abs(v) for v in a + b if math.isfinite(v))
assert abs(got("max")[0] - 40 / 127) < 1e-8
assert abs(got("relu_max")[0] - 40 / 255) < 1e-8
rank = every[math.ceil(0.99 * len(every)) - 1]
assert abs(got("pct")[0] * 127 / rank - 1) <= 2 ** -12 + 1e-7, (got("pct"), rank / 127)
hs = sorted(abs(v) for v in h)
assert abs(got("hpct")[0] * 127 / hs[math.ceil(0.9 * len(hs)) - 1] - 1) <= 1e-7  # exact for f16
def mse(scale, code): return sum((v - scale * code(v / scale)) ** 2 for v in every)
int8 = lambda v: min(round(v), 127)
fp8 = lambda v: e4m3(to_e4m3(v))
for name, code, most in (("mse", int8, 127), ("mse8", fp8, 448)):
    found = mse(got(name)[0], code)
    best = min(mse(40 / most * 2 ** (-k / 20), code) for k in range(100))
    assert found <= best * 1.01, (name, found, best)
every = npy.read("g.npy")[0]  # multiples of 0.1 and two numbers beyond 127 of them
every = [abs(v) for v in every]
assert mse(got("grid")[0], int8) < 0.2 * mse(13 / 127, int8) and abs(got("grid")[0] - 0.1) < 1e-4, got("grid")
per = [max(abs(v) for v in c[k::3]) / 127 for k in range(3)]
assert all(abs(g / w - 1) < 1e-6 for g, w in zip(got("channel"), per)) and len(npy.read("s3.npy")[0]) == 3
j = json.load(open("json.txt"))
assert j["dtype"] == "i8" and j["method"] == "max" and len(j["scale"]) == 1 and abs(j["scale"][0] - 40 / 127) < 1e-8
P
ok 'scales a channel go on to quantize' "$actune" apply 'quantize(i8, scale=channel)' --input c.npy --operand scale=s3.npy --output qc.npy
refused 1 'no scale follows' "$actune" calibrate identity --input zeros.npy
refused 1 'a.npy.*no negative numbers' "$actune" calibrate identity --input a.npy --dtype u8
refused 2 'percentile takes' "$actune" calibrate identity --input a.npy --percentile 101
refused 2 'dtype takes i8' "$actune" calibrate identity --input a.npy --dtype f32
refused 1 'nothere.npy' "$actune" calibrate identity --input nothere.npy
refused 1 'c.npy' "$actune" calibrate identity --input a.npy --input c.npy --channel --layout rows
ok 'verify reports what quantisation loses' "$actune" verify 'clip(-6, 6) | quantize(i8, scale=0.05)' --direction forward --json && cp out v.json
ok 'a uniform error of a 20th: 1/400/12' python3 - <<'P'
import json
row = [r for r in json.load(open("v.json")) if r["method"] == "quantisation"]
assert len(row) == 1 and abs(row[0]["mean_squared_error"] * 4800 - 1) < 0.05 and 0.0245 < row[0]["largest_error"] < 0.0251, row
assert 42 < row[0]["sqnr_db"] < 43, row  # 10 log10(4 * 4800), less what the clip takes
P
ok 'actune ops' grep -q '^quantize' <("$actune" ops)
refused 1 'gives i8, the output was said to be u8' "$actune" apply 'quantize(i8, scale=1)' --dtype f32:u8 --input x.npy --output no.npy
refused 1 'dequantize takes 8-bit tensors' "$actune" apply 'dequantize(scale=1)' --input x.npy --output no.npy
refused 1 'the scale must be greater than 0' "$actune" apply 'quantize(i8, scale=0)' --input x.npy --output no.npy
refused 1 "operand 'scale'" "$actune" apply 'quantize(i8, scale=tensor)' --input x.npy --output no.npy
refused 1 'holds u8' "$actune" apply 'dequantize(scale=1)' --dtype i8:f32 --input u.npy --output no.npy
ok 'a refused call writes nothing' test ! -e no.npy
finish
