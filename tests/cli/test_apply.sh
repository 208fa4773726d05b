#!/usr/bin/env bash
# actune apply on real files, as a user runs it: values, operands, gradients, layouts, user functions, and what is refused.
. "$(dirname "$0")/lib.sh"

python3 - <<'P'
import npy, random
random.seed(1)
npy.write("x.npy", [random.gauss(0, 3) for _ in range(1000)])
npy.write("x4.npy", [random.gauss(0, 3) for _ in range(2 * 3 * 5 * 7)], (2, 3, 5, 7))
npy.write("b3.npy", [0.5, -1.0, 2.0])
npy.write("b7.npy", [0.1 * i for i in range(7)])
npy.write("dy.npy", [random.gauss(0, 1) for _ in range(1000)])
npy.write("dy4.npy", [random.gauss(0, 1) for _ in range(2 * 3 * 5 * 7)], (2, 3, 5, 7))
npy.write("mul6.npy", [0.5, 2, -1, 1, 0.25, 3], (2, 3))
npy.write("mul14.npy", [0.1 * i - 1 for i in range(14)], (2, 7))
npy.write("x36.npy", [random.gauss(0, 2) for _ in range(36)], (3, 2, 6))
npy.write("dy18.npy", [random.gauss(0, 1) for _ in range(18)], (3, 2, 3))
npy.write("empty6.npy", [], (0, 6))
npy.write("xh.npy", [0.5 * i for i in range(-20, 20)], descr="<f2")
npy.write("xd.npy", [0.5 * i for i in range(-20, 20)], descr="<f8")
npy.write("xi.npy", [1, 2, 3], descr="<u2")
npy.write("empty.npy", [], (0, 3))
P
cat >my_act.c <<'C'
/* actune: alpha = 0.3 */
#include <math.h>
float my_act(float x, float alpha)
{
    if (x > 0)
        return x;
    return alpha * expm1f(x);
}
float looping(float x)
{
    while (x > 1)
        x = x / 2;
    return x;
}
C

ok 'forward' "$actune" apply 'gelu_tanh | clip(-6, 6)' --input x.npy --output y.npy
ok 'backward' "$actune" apply 'gelu_tanh | clip(-6, 6)' --backward --input x.npy --grad dy.npy --output dx.npy
ok 'nchw' "$actune" apply 'bias | silu' --input x4.npy --operand bias=b3.npy --output y4.npy --layout nchw
ok 'stats' "$actune" apply 'bias | relu | stats(channel)' --input x4.npy --operand bias=b3.npy --output y4s.npy --layout nchw --stats s4.jsonl
ok 'stats, read as advice' "$actune" doctor --stats s4.jsonl
refused 1 'no stage stats' "$actune" apply relu --input x.npy --output never.npy --stats s.jsonl
refused 1 'second' "$actune" apply 'stats | relu | stats' --input x.npy --output never.npy
refused 1 "takes no arguments but 'channel'" "$actune" apply 'relu | stats(3)' --input x.npy --output never.npy
refused 1 'cannot be written' "$actune" apply 'relu | stats' --input x.npy --output unread.npy --stats "$work"
python3 - <<'P' || { echo "FAILED: what --stats wrote"; failures=$((failures + 1)); }
import json, npy
lines = [json.loads(line) for line in open("s4.jsonl")]
read = npy.read("y4s.npy")
y = list(read[0] if isinstance(read, tuple) else read)
assert len(lines) == 4 and lines[0]["layer"] == "tensor" and lines[0]["spec"] == "bias | relu | stats(channel)"
for name, part in [(0, y)] + [(c + 1, [y[i] for i in range(210) if i // 35 % 3 == c]) for c in range(3)]:
    n, mean = len(part), sum(part) / len(part)
    line = lines[name]
    assert line["count"] == n and line["nan"] == 0 and line["fraction_clipped"] == 0
    assert line["fraction_zero"] == line["fraction_nonpositive"] == sum(v == 0 for v in part) / n
    assert abs(line["mean"] - mean) < 1e-6 and abs(line["variance"] - sum((v - mean) ** 2 for v in part) / n) < 1e-5
    assert line["absmax"] == max(part)
P
ok 'rows' "$actune" apply 'bias | silu' --input x4.npy --operand bias=b7.npy --output y4r.npy --layout nhwc
ok 'gradient of an operand' "$actune" apply 'bias | silu' --backward --input x4.npy --grad dy4.npy --operand bias=b3.npy --output dx4.npy \
    --grad-of bias=db.npy --layout nchw
ok 'f16' "$actune" apply relu --input xh.npy --output yh.npy
ok 'f64' "$actune" apply 'tanh' --input xd.npy --output yd.npy
ok 'a user function' "$actune" apply '@my_act.c:my_act(alpha=0.5) | clip(-1, 1)' --input x.npy --output yu.npy
ok 'its gradient' "$actune" apply '@my_act.c:my_act(alpha=0.5) | clip(-1, 1)' --backward --input x.npy --grad dy.npy --output dxu.npy
ok 'forward for its output' "$actune" apply '[from=output] elu' --input x.npy --output yo.npy
ok 'the gradient from the output' "$actune" apply '[from=output] elu' --backward --input yo.npy --grad dy.npy --output dxo.npy
ok 'the gradient from the input' "$actune" apply 'elu' --backward --input x.npy --grad dy.npy --output dxi.npy
ok 'bias gradient from the output' "$actune" apply '[from=output] bias | relu' --backward --input x4.npy --grad dy4.npy --output dx4o.npy \
    --grad-of bias=dbo.npy --layout nchw
ok 'two halves' "$actune" apply 'swiglu(halves)' --input x36.npy --output y18.npy
ok 'their gradient' "$actune" apply 'swiglu(halves)' --backward --input x36.npy --grad dy18.npy --output dx36.npy
ok 'halves of the channels' "$actune" apply 'glu(halves)' --input x36.npy --output y18c.npy --layout nchw
ok 'none of two halves' "$actune" apply 'swiglu(halves)' --input empty6.npy --output yempty6.npy
ok 'one value a plane' "$actune" apply 'mul(channel)' --input x4.npy --operand mul=mul6.npy --output ymul.npy --layout nchw
ok 'one value a channel and image' "$actune" apply 'relu | mul(channel)' --input x4.npy --operand mul=mul14.npy --output ymulh.npy --layout nhwc
ok 'its gradient' "$actune" apply 'relu | mul(channel)' --backward --input x4.npy --grad dy4.npy --operand mul=mul14.npy --output dxmulh.npy \
    --grad-of mul=dmul.npy --layout nhwc
refused 1 'have a length of 7, an odd number' "$actune" apply 'swiglu(halves)' --input x4.npy --output no.npy
refused 1 "'mul' needs 6" "$actune" apply 'mul(channel)' --input x4.npy --operand mul=mul14.npy --output no.npy --layout nchw
ok 'standardize' "$actune" apply 'standardize | relu' --input x.npy --output z.npy
ok 'standardize, channels' "$actune" apply 'bias | standardize(channel)' --input x4.npy --operand bias=b3.npy --output z4.npy --layout nchw
ok 'standardize backward' "$actune" apply 'standardize' --backward --input x.npy --grad dy.npy --output dz.npy
refused 1 'from=output does not go with standardize' "$actune" apply '[from=output] standardize' --input x.npy --output no.npy
ok 'the z-scores' python3 - <<'P'
import npy
def z_of(x):
    m = sum(x) / len(x)
    v = sum((a - m) ** 2 for a in x) / len(x)
    r = (v + 1e-5) ** -0.5
    return [(a - m) * r for a in x], r
x, dy, z, dz = (npy.read(n + ".npy")[0] for n in ("x", "dy", "z", "dz"))
want, r = z_of(x)
assert max(abs(a - max(b, 0)) for a, b in zip(z, want)) < 1e-5
g, gz = sum(dy) / len(dy), sum(a * b for a, b in zip(dy, want)) / len(dy)
assert max(abs(a - r * (b - g - c * gz)) for a, b, c in zip(dz, dy, want)) < 1e-5
x4, z4 = (npy.read(n + ".npy")[0] for n in ("x4", "z4"))
for c in range(3):
    at = [i for i in range(len(x4)) if i // 35 % 3 == c]
    assert max(abs(z4[i] - b) for i, b in zip(at, z_of([x4[i] for i in at])[0])) < 1e-5
P
ok 'an empty tensor' "$actune" apply relu --input empty.npy --output yempty.npy
ok 'dropout' "$actune" apply 'dropout(0.25)' --input x.npy --output drop.npy --seed 5 --offset 7
ok 'its gradient' "$actune" apply 'dropout(0.25)' --backward --input x.npy --grad dy.npy --output ddrop.npy --seed 5 --offset 7
ok 'another offset' "$actune" apply 'dropout(0.25)' --input x.npy --output drop8.npy --seed 5 --offset 8
refused 1 "dropout's p" "$actune" apply 'dropout(1)' --input x.npy --output no.npy
refused 2 '--seed' "$actune" apply 'dropout(0.5)' --input x.npy --output no.npy --seed x
ok 'the same elements both ways, others with another offset' python3 - <<'P'
import npy
x, y, dy, dx, other = (npy.read(n + ".npy")[0] for n in ("x", "drop", "dy", "ddrop", "drop8"))
assert all((a == 0) == (b == 0) for a, b in zip(y, dx))
assert 190 < sum(v == 0 for v in y) < 310
assert all(a == 0 or abs(a - b / 0.75) < 1e-6 * abs(a) for a, b in zip(y, x))
assert sum((a == 0) != (b == 0) for a, b in zip(y, other)) > 250
P
ok 'topk' "$actune" apply 'topk(3, by=magnitude)' --input x4.npy --layout nhwc --output yt.npy
ok 'topk, backward' "$actune" apply 'relu | topk(0.4)' --backward --input x4.npy --grad dy4.npy --layout nhwc --output dxt.npy
ok 'values' python3 - <<'P'
import math, npy

def near(got, want, what, tolerance=2e-6):
    assert len(got) == len(want), what
    for i, (g, w) in enumerate(zip(got, want)):
        assert abs(g - w) <= tolerance * max(1, abs(w)), (what, i, g, w)

x, shape = npy.read("x.npy")
dy, _ = npy.read("dy.npy")
gelu = lambda v: v / (1 + math.exp(-2 * math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)))
clip = lambda v, lo, hi: min(max(v, lo), hi)
slope = lambda f, v: (f(v + 1e-6) - f(v - 1e-6)) / 2e-6
y, yshape = npy.read("y.npy")
near(npy.read("dxo.npy")[0], npy.read("dxi.npy")[0], "elu's gradient from its output")
assert yshape == shape
near(y, [clip(gelu(v), -6, 6) for v in x], "gelu_tanh | clip")
dx, _ = npy.read("dx.npy")
near(dx, [d * slope(lambda u: clip(gelu(u), -6, 6), v) for v, d in zip(x, dy)], "backward", 1e-5)
silu = lambda v: v / (1 + math.exp(-v))
x4, shape4 = npy.read("x4.npy")
b3, b7 = npy.read("b3.npy")[0], npy.read("b7.npy")[0]
y4, y4shape = npy.read("y4.npy")
assert y4shape == shape4
near(y4, [silu(v + b3[i // 35 % 3]) for i, v in enumerate(x4)], "bias | silu nchw")
near(npy.read("y4r.npy")[0], [silu(v + b7[i % 7]) for i, v in enumerate(x4)], "bias | silu nhwc")
dy4 = npy.read("dy4.npy")[0]
dx4 = [d * slope(silu, v + b3[i // 35 % 3]) for i, (v, d) in enumerate(zip(x4, dy4))]
near(npy.read("dx4.npy")[0], dx4, "bias | silu dx", 1e-5)
near(npy.read("db.npy")[0], [sum(dx4[i] for i in range(len(dx4)) if i // 35 % 3 == c) for c in range(3)], "dbias", 1e-4)
near(npy.read("yh.npy")[0], [max(0, v) for v in npy.read("xh.npy")[0]], "f16 relu", 0)
near(npy.read("yd.npy")[0], [math.tanh(v) for v in npy.read("xd.npy")[0]], "f64 tanh", 1e-14)
mine = lambda v: v if v > 0 else 0.5 * math.expm1(v)
near(npy.read("yu.npy")[0], [clip(mine(v), -1, 1) for v in x], "user function")
near(npy.read("dxu.npy")[0], [d * slope(lambda u: clip(mine(u), -1, 1), v) for v, d in zip(x, dy)], "user gradient", 1e-5)
assert npy.read("yempty.npy") == ([], (0, 3))
x36, dy18 = npy.read("x36.npy")[0], npy.read("dy18.npy")[0]
rows = [(r * 6 + c, r * 6 + 3 + c) for r in range(6) for c in range(3)]  # of y: where x has its two halves
y18, y18shape = npy.read("y18.npy")
assert y18shape == (3, 2, 3)
near(y18, [silu(x36[a]) * x36[b] for a, b in rows], "swiglu(halves)")
dx36, dx36shape = npy.read("dx36.npy")
assert dx36shape == (3, 2, 6)
near([dx36[a] for a, _ in rows], [d * x36[b] * slope(silu, x36[a]) for d, (a, b) in zip(dy18, rows)], "dx of the gate", 1e-5)
near([dx36[b] for _, b in rows], [d * silu(x36[a]) for d, (a, b) in zip(dy18, rows)], "dx of the other half", 1e-5)
y18c, y18cshape = npy.read("y18c.npy")
assert y18cshape == (3, 1, 6)
near(y18c, [x36[n * 12 + i] / (1 + math.exp(-x36[n * 12 + 6 + i])) for n in range(3) for i in range(6)], "torch.nn.GLU(dim=1)")
assert npy.read("yempty6.npy") == ([], (0, 3))
mul6, mul14 = npy.read("mul6.npy")[0], npy.read("mul14.npy")[0]
near(npy.read("ymul.npy")[0], [v * mul6[i // 35] for i, v in enumerate(x4)], "mul(channel) nchw")
near(npy.read("ymulh.npy")[0], [max(v, 0) * mul14[i // 105 * 7 + i % 7] for i, v in enumerate(x4)], "mul(channel) nhwc")
near(npy.read("dxmulh.npy")[0], [(v > 0) * d * mul14[i // 105 * 7 + i % 7] for i, (v, d) in enumerate(zip(x4, dy4))], "its dx")
near(npy.read("dmul.npy")[0], [sum(max(x4[i], 0) * dy4[i] for i in range(210) if i // 105 * 7 + i % 7 == k) for k in range(14)], "dmul", 1e-4)
rows = [x4[i:i + 7] for i in range(0, len(x4), 7)]
def kept(keys, k):
    return set(sorted(range(len(keys)), key=lambda i: (-keys[i], i))[:k])
near(npy.read("yt.npy")[0], [v if i in kept([abs(u) for u in row], 3) else 0 for row in rows for i, v in enumerate(row)], "topk by magnitude", 0)
near(npy.read("dxt.npy")[0], [dy4[r * 7 + i] if v > 0 and i in kept([max(u, 0) for u in row], 3) else 0 for r, row in enumerate(rows) for i, v in enumerate(row)],
     "relu | topk, backward", 0)
P

cp y.npy before.npy
refused 1 "did you mean 'gelu'" "$actune" apply geluu --input x.npy --output y.npy
refused 1 'my_act.c:[0-9]+:[0-9]+' "$actune" apply '@my_act.c:looping' --input x.npy --output y.npy
refused 1 'missing.npy' "$actune" apply relu --input missing.npy --output y.npy
refused 1 'uint16' "$actune" apply relu --input xi.npy --output y.npy
refused 1 '--operand bias' "$actune" apply 'bias | relu' --input x.npy --output y.npy
refused 1 '--layout' "$actune" apply 'bias | relu' --input x4.npy --operand bias=b3.npy --output y.npy
refused 1 'needs 7' "$actune" apply 'bias | relu' --input x4.npy --operand bias=b3.npy --output y.npy --layout nhwc
refused 1 'argument k is 9' "$actune" apply 'topk(9)' --input x4.npy --output y.npy --layout nhwc
refused 1 'inner is 35' "$actune" apply 'topk(2)' --input x4.npy --output y.npy --layout nchw
refused 2 '--backward' "$actune" apply relu --backward --input x.npy --output y.npy
refused 2 'SPEC' "$actune" apply --input x.npy --output y.npy
refused 1 'could not be written' "$actune" apply relu --input x.npy --output no-such-folder/y.npy
head -c 200 x.npy >cut.npy
refused 1 'promises' "$actune" apply relu --input cut.npy --output y.npy
ok 'a failed run leaves the old output' cmp y.npy before.npy
refused 1 'gelu_tahn' "$actune" apply 'gelu_tahn' --input missing.npy --output y.npy
! grep -q missing.npy "$work/err" || { echo 'FAILED: the file was looked for before the spec was read'; failures=$((failures + 1)); }
finish
