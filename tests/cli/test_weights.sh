#!/usr/bin/env bash
# actune init as a user runs it: values, types, seeds, JSON, and what is refused.
. "$(dirname "$0")/lib.sh"

ok 'kaiming normal' "$actune" init kaiming-normal --shape 64,3,7,7 --nonlinearity relu --mode fan_in --seed 1 --dtype f32 --output w.npy
ok 'again' "$actune" init kaiming-normal --shape 64x3x7x7 --nonlinearity relu --seed 1 --output w2.npy
ok 'same file' cmp w.npy w2.npy
ok 'without a compiler' env ACTUNE_CC=/nonexistent/cc XDG_CACHE_HOME="$work/run" "$actune" init kaiming-normal --shape 64,3,7,7 --seed 1 --output w3.npy
ok 'same bits' cmp w.npy w3.npy
ok 'another seed' "$actune" init kaiming-normal --shape 64,3,7,7 --seed 2 --output s2.npy
ok 'another offset' "$actune" init kaiming-normal --shape 64,3,7,7 --seed 1 --offset 1 --output o1.npy
ok 'fan_out' "$actune" init kaiming-normal --shape 64,3,7,7 --mode fan_out --seed 1 --output out.npy
ok 'f64' "$actune" init kaiming-normal --shape 64,3,7,7 --seed 1 --dtype f64 --output wd.npy
ok 'f16' "$actune" init kaiming-normal --shape 64,3,7,7 --seed 1 --dtype f16 --output wh.npy
ok 'bf16' "$actune" init kaiming-normal --shape 64,3,7,7 --seed 1 --dtype bf16 --output wb.npy
ok 'xavier uniform' "$actune" init xavier-uniform --shape 100,50 --nonlinearity tanh --seed 1 --output xu.npy
ok 'a gain, a negative slope' "$actune" init kaiming-uniform --shape 100,50 --nonlinearity leaky_relu --slope=-1 --output ku.npy
ok 'json' "$actune" init kaiming-uniform --shape 100,50 --gain 2 --seed 7 --json --output ku2.npy
cp out json
ok 'values' python3 - <<'P'
import json, math, npy
w, shape = npy.read("w.npy")
assert shape == (64, 3, 7, 7), shape
n, std = len(w), math.sqrt(2 / (3 * 49))
variance = sum(x * x for x in w) / n
assert abs(sum(w) / n) < 5 * std / math.sqrt(n)
assert abs(variance / std ** 2 - 1) < 5 * math.sqrt(2 / n), variance / std ** 2
for other in "s2.npy", "o1.npy":
    v, _ = npy.read(other)
    assert abs(sum(a * b for a, b in zip(w, v)) / n) < 5 * std ** 2 / math.sqrt(n), other
ratio = math.sqrt(3 / 64)
assert all(abs(a * ratio - b) <= 2e-7 * abs(b) for a, b in zip(w, npy.read("out.npy")[0]))
assert all(abs(a - b) <= 6e-8 * abs(b) for a, b in zip(w, npy.read("wd.npy")[0]))
assert all(abs(a - b) <= max(4.9e-4 * abs(b), 3e-8) for a, b in zip(w, npy.read("wh.npy")[0]))
import struct
wide = [struct.unpack("<f", struct.pack("<I", b << 16))[0] for b in npy.read("wb.npy")[0]]
assert all(abs(a - b) <= 3.95e-3 * abs(b) for a, b in zip(w, wide))
u = npy.read("xu.npy")[0]
bound = 5 / 3 * math.sqrt(6 / 150)
assert max(map(abs, u)) <= bound and max(u) > 0.99 * bound and min(u) < -0.99 * bound
assert abs(max(map(abs, npy.read("ku.npy")[0])) / math.sqrt(3 / 50) - 1) < 0.01
j = json.load(open("json"))
assert j["kind"] == "kaiming-uniform" and j["elements"] == 5000 and j["seed"] == 7 and abs(j["bound"] - 2 * math.sqrt(3 / 50)) < 1e-8, j
P

refused 1 "nonlinearity 'rellu'.*did you mean 'relu'" "$actune" init kaiming-normal --shape 3,4 --nonlinearity rellu --output no.npy
refused 1 'shape has 1 axes' "$actune" init kaiming-normal --shape 3 --output no.npy
refused 1 'shape: axis 1 is 0' "$actune" init kaiming-normal --shape 3,0 --output no.npy
refused 1 'gain and nonlinearity' "$actune" init kaiming-normal --shape 3,4 --gain 2 --nonlinearity relu --output no.npy
refused 1 'slope is not finite' "$actune" init kaiming-normal --shape 3,4 --slope inf --output no.npy
refused 2 'KIND is' "$actune" init he --shape 3,4 --output no.npy
refused 2 '--seed' "$actune" init kaiming-normal --shape 3,4 --seed -1 --output no.npy
refused 2 '--mode' "$actune" init kaiming-normal --shape 3,4 --mode fan --output no.npy
refused 2 '--gain' "$actune" init kaiming-normal --shape 3,4 --gain 0 --output no.npy
refused 2 'are needed' "$actune" init kaiming-normal --shape 3,4
[ -e no.npy ] && { echo 'FAILED: a refused run wrote a file'; failures=$((failures + 1)); }
finish
