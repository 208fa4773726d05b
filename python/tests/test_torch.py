"""Kernels on tensors of PyTorch, under autograd and torch.compile, against PyTorch's own functions."""
import unittest

import torch
import torch.nn.functional as F

import actune

HAS_OPERATOR = hasattr(torch.library, "custom_op")  # torch 2.4

# spec, PyTorch's words; operands come in the order of the pipeline, bias of 24 elements
PIPELINES = {
    "bias | gelu | clip(-6, 6)": lambda x, b: F.gelu(x + b).clamp(-6, 6),
    "bias | silu": lambda x, b: F.silu(x + b),
    "bias | leaky_relu(0.2)": lambda x, b: F.leaky_relu(x + b, 0.2),
    "bias | mish": lambda x, b: F.mish(x + b),
    "bias | elu | tanh": lambda x, b: torch.tanh(F.elu(x + b)),
    "bias | prelu(alpha=learn)": lambda x, b, a: F.prelu(x + b, a),
    "scale_shift | add | relu": lambda x, scale, shift, z: F.relu(x * scale + shift + z),
    "bias | silu | mul": lambda x, b, z: F.silu(x + b) * z,
    "[from=output] tanh": torch.tanh,
}
SHAPES = {"x": (10, 24), "b": (24,), "a": (1,), "scale": (24,), "shift": (24,), "z": (10, 24)}


def tensors(function, dtype=torch.float32):
    names = function.__code__.co_varnames[: function.__code__.co_argcount] if hasattr(function, "__code__") else ("x",)
    torch.manual_seed(7)
    return [torch.randn(SHAPES[name], dtype=torch.float32).to(dtype).requires_grad_() for name in names]


def results(function, inputs, dy):
    for tensor in inputs:
        tensor.grad = None
    y = function(*inputs)
    y.backward(dy)
    return [y.detach()] + [tensor.grad for tensor in inputs]


class Torch(unittest.TestCase):
    def test_autograd(self):
        for spec, theirs in PIPELINES.items():
            for dtype in (torch.float32, torch.float64, torch.bfloat16):
                inputs = tensors(theirs, dtype)
                torch.manual_seed(8)
                dy = torch.randn(10, 24).to(dtype)
                wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
                expected = results(theirs, wide, dy.double())
                got = results(actune.jit(spec), inputs, dy)
                tolerance = {torch.float32: 3e-6, torch.float64: 1e-12, torch.bfloat16: 8e-3}[dtype]
                for mine, yours, name in zip(got, expected, ("y", "dx") + tuple("d%d" % i for i in range(9))):
                    self.assertEqual(mine.dtype, dtype)
                    scale = max(1.0, yours.abs().max().item()) * (10 if name not in ("y", "dx") else 2)
                    self.assertLess((mine.double() - yours).abs().max().item(), tolerance * scale, f"{spec} {dtype} {name}")

    def test_gradcheck(self):
        inputs = [torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(4, dtype=torch.float64, requires_grad=True)]
        self.assertTrue(torch.autograd.gradcheck(actune.jit("bias | gelu_tanh"), inputs))
        x, gate = torch.randn(3, 8, 2, 2, dtype=torch.float64, requires_grad=True), torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
        glu = actune.jit("glu(halves)", layout="nchw")
        self.assertTrue(torch.allclose(glu(x), F.glu(x, dim=1)))
        self.assertTrue(torch.autograd.gradcheck(glu, [x]))
        self.assertTrue(torch.autograd.gradcheck(actune.jit("mul(channel)", layout="nchw"), [x, gate]))

    def test_only_what_is_wanted(self):
        f, x, b = actune.jit("bias | silu"), torch.randn(5, 6), torch.randn(6, requires_grad=True)
        f(x, b).sum().backward()
        x2, b2 = x.clone(), b.detach().clone().requires_grad_()
        F.silu(x2 + b2).sum().backward()
        self.assertLess((b.grad - b2.grad).abs().max().item(), 1e-5)
        self.assertIsNone(x.grad)
        with torch.no_grad():
            self.assertFalse(f(x, b).requires_grad)
        with self.assertRaisesRegex(actune.InvalidArgument, "no_grad"):
            f(x, b, out=torch.empty(5, 6))

    def test_layouts_and_expanded_gradients(self):
        f = actune.jit("bias | relu", layout="nchw")
        for memory in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(2, 3, 4, 5).contiguous(memory_format=memory).requires_grad_()
            b = torch.randn(3, requires_grad=True)
            y = f(x, b)
            self.assertTrue(y.is_contiguous(memory_format=memory))
            y.sum().backward()  # dy is one element, expanded
            mask = (x + b.view(3, 1, 1) > 0).float()
            self.assertTrue(torch.equal(x.grad, mask))
            self.assertTrue(torch.equal(b.grad, mask.sum((0, 2, 3))))

    def test_gradients_of_tensors_in_channels_last(self):
        x, z = (torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2))
        y = actune.jit("add | relu", layout="nchw")(x, z)
        y.backward(torch.ones(2, 3, 4, 5))  # of another order than x
        mask = (x + z > 0).float()
        self.assertTrue(torch.equal(x.grad, mask) and torch.equal(z.grad, mask))

    def test_dropout_repeats_its_mask(self):
        x = torch.ones(1000, requires_grad=True)
        y = actune.jit("gelu | dropout(0.5)")(x, (3, 4))
        y.sum().backward()
        self.assertTrue(torch.equal(y.detach() == 0, x.grad == 0))

    def test_views_are_refused_with_a_word(self):
        with self.assertRaisesRegex(actune.InvalidArgument, "contiguous"):
            actune.jit("relu")(torch.randn(4, 6)[:, ::2])

    @unittest.skipUnless(HAS_OPERATOR, "torch 2.4 or later has custom operators")
    def test_operator(self):
        f = actune.jit("bias | gelu_tanh")
        torch.library.opcheck(torch.ops.actune.apply.default, (torch.randn(4, 6, requires_grad=True), [torch.randn(6)], "", f.key))

    @unittest.skipUnless(HAS_OPERATOR, "torch 2.4 or later has custom operators")
    def test_compile_keeps_it(self):
        f, g = actune.jit("bias | gelu_tanh | clip(-6, 6)"), actune.jit("[from=output] tanh")
        x, b = torch.randn(16, 24, requires_grad=True), torch.randn(24, requires_grad=True)
        ours = torch.compile(lambda x, b: g(f(2 * x, bias=b) + 1).square(), fullgraph=True, backend="aot_eager")
        theirs = lambda x, b: torch.tanh(F.gelu(2 * x + b, approximate="tanh").clamp(-6, 6) + 1).square()  # noqa: E731
        dy = torch.randn(16, 24)
        for mine, yours in zip(results(ours, [x, b], dy), [t.clone() for t in results(theirs, [x, b], dy)]):
            self.assertLess((mine - yours).abs().max().item(), 1e-4)


if __name__ == "__main__":
    unittest.main()
