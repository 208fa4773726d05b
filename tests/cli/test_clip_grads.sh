#!/usr/bin/env bash
# actune clip-grads: by norm and by value, in place and beside; originals are never lost; what it refuses.
. "$(dirname "$0")/lib.sh"
cat >make.py <<'P'
import npy
npy.write("a.npy", [3.0] * 4 + [0.0] * 50, (6, 9))
npy.write("b.npy", [-4.0] * 4)
npy.write("empty.npy", [], (0, 3))
npy.write("wide.npy", [1.0], None, "<f8")
npy.write("bits.npy", [0x4040, 0xC080], None, "<u2")  # 3 and -4 in bfloat16
npy.write("inf.npy", [1.0, float("inf")])
P
ok 'make gradients' python3 make.py
mkdir other && cp a.npy other/
originals() { cat a.npy b.npy empty.npy wide.npy bits.npy inf.npy | md5sum; }
before=$(originals)
said() { grep -qE -- "$1" "$work/out" || { echo "FAILED: it does not say '$1'"; cat "$work/out"; failures=$((failures + 1)); }; }
holds() { ok "$1" python3 -c "import json, npy; out = open('$work/json').read() if $2 else ''; assert $3, ($3)"; }
clip() { ok "$1" "$actune" clip-grads "${@:2}" && cp "$work/out" "$work/json"; }

clip 'by norm' a.npy b.npy empty.npy --max-norm 2 --output-dir to --json
holds 'its JSON' 1 'json.loads(out)["norm"] == 10 and abs(json.loads(out)["coefficient"] - 0.2) < 1e-7 and json.loads(out)["scaled"]'
holds 'a fifth of each' 0 'all(abs(v - 0.6) < 1e-6 for v in npy.read("to/a.npy")[0][:4]) and all(abs(v + 0.8) < 1e-6 for v in npy.read("to/b.npy")[0])'
holds 'shapes stay' 0 'npy.read("to/a.npy")[1] == (6, 9) and npy.read("to/empty.npy") == ([], (0, 3))'
clip 'the largest magnitude' a.npy b.npy --norm-type inf --output-dir to2 --json
holds 'norm 4, the default bound 1' 1 'json.loads(out)["norm"] == 4 and abs(json.loads(out)["coefficient"] - 0.25) < 1e-6'
clip 'the sum of magnitudes' a.npy b.npy --norm-type 1 --output-dir to2
said 'norm 28, coefficient 0.0357'
clip 'nothing to clip' a.npy b.npy --max-norm 11 --output-dir to3
said 'nothing to clip'
holds 'and the copies are equal' 0 'npy.read("to3/a.npy") == npy.read("a.npy")'
clip 'by value' a.npy b.npy --value 3.5 --output-dir to4
holds 'limited' 0 'npy.read("to4/b.npy")[0] == [-3.5] * 4 and npy.read("to4/a.npy") == npy.read("a.npy")'
clip 'bfloat16' bits.npy --dtype bf16 --max-norm 2.5 --output-dir to5
holds 'halved' 0 'npy.read("to5/bits.npy")[0] == [0x3FC0, 0xC000]'
clip 'as PyTorch with an infinite norm' inf.npy --output-dir to6 --json
holds 'zero and NaN' 1 'json.loads(out)["norm"] == "inf" and not json.loads(out)["finite"] and npy.read("to6/inf.npy")[0][0] == 0 and npy.read("to6/inf.npy")[0][1] != 0'

refused 1 'is inf; nothing was written' "$actune" clip-grads inf.npy --error-if-nonfinite --in-place
refused 1 'wide.npy holds f64, a.npy f32' "$actune" clip-grads a.npy wide.npy --in-place
refused 1 'one file' "$actune" clip-grads a.npy ./a.npy --in-place
refused 1 'both become to7/a.npy' "$actune" clip-grads a.npy other/a.npy --output-dir to7
refused 1 'would replace the original' "$actune" clip-grads a.npy --output-dir .
refused 1 'nowhere.npy' "$actune" clip-grads a.npy nowhere.npy --in-place
refused 1 'taken as bfloat16' "$actune" clip-grads bits.npy --in-place
refused 1 'cuda:7' "$actune" clip-grads a.npy --device cuda:7 --in-place
refused 2 '--output-dir DIR, or --in-place' "$actune" clip-grads a.npy
refused 2 'FILE.npy' "$actune" clip-grads --in-place
refused 2 '--max-norm takes' "$actune" clip-grads a.npy --max-norm -1 --in-place
refused 2 '--max-norm takes' "$actune" clip-grads a.npy --max-norm nan --in-place
refused 2 '--norm-type takes' "$actune" clip-grads a.npy --norm-type 3 --in-place
refused 2 'belong to clipping by norm' "$actune" clip-grads a.npy --value 1 --max-norm 1 --in-place
[ "$(originals)" = "$before" ] || { echo 'FAILED: an original was changed'; failures=$((failures + 1)); }
[ -e to7/a.npy ] && { echo 'FAILED: something was written'; failures=$((failures + 1)); }

# the norm of a gradient where it is made: y = relu(x + b), the sum of squares of the gradient behind the bias
ok 'more gradients' python3 -c 'import npy; npy.write("x.npy", [(i * 7 % 13 - 6) / 2 for i in range(60)], (20, 3)); npy.write("dy.npy", [i % 5 - 1.5 for i in range(60)], (20, 3)); npy.write("bias.npy", [0.25, -0.5, 1])'
ok 'grad_norm' "$actune" apply 'bias | grad_norm | relu' --backward --input x.npy --grad dy.npy --operand bias=bias.npy --output dx.npy --grad-of grad_norm=n.npy --grad-of bias=db.npy
holds 'the sum of squares of dx' 0 'npy.read("n.npy")[0] == [sum(v * v for v in npy.read("dx.npy")[0])] and npy.read("n.npy")[0][0] > 10 and npy.read("db.npy")[1] == (3,)'

clip 'in place' a.npy b.npy --max-norm 5 --in-place
holds 'halved' 0 'abs(npy.read("a.npy")[0][0] - 1.5) < 1e-6 and abs(npy.read("b.npy")[0][3] + 2) < 1e-6 and npy.read("a.npy")[1] == (6, 9)'
finish
