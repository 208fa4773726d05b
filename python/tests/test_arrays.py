"""Kernels on arrays of NumPy and of nobody's, and what is refused. The oracle is NumPy in float64."""
import doctest
import logging
import threading
import unittest

import numpy as np

import actune
import actune._kernel


def gelu_tanh(x):
    x = x.astype(np.float64)
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


class Plain:
    """An array of a library that nobody knows: `__dlpack__` is all it has. Of before DLPack 1.0, without max_version."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def __dlpack__(self, stream=None):
        return self._array.__dlpack__()


class Arrays(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(5)

    def normal(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def test_pipeline(self):
        f = actune.jit("bias | gelu_tanh | clip(-0.1, 2)")
        for rows in (0, 1, 3, 1000):
            x, b = self.normal(rows, 37), self.normal(37)
            for _ in range(3):  # the second and third go the short way
                y = f(x, b)
                self.assertEqual((y.dtype, y.shape), (np.float32, x.shape))
                np.testing.assert_allclose(y, np.clip(gelu_tanh(x + b), -0.1, 2), atol=1e-6)
        np.testing.assert_array_equal(f(x, bias=b), f(x, b))

    def test_short_way_tells_forms_apart(self):
        f = actune.jit("bias | relu")
        big, b = self.normal(4, 6), self.normal(6)
        for x in (big, big, big[:2], big[:2], big.copy(order="F"), big.copy(order="F"), big.copy(order="F")):
            np.testing.assert_array_equal(f(x, b), np.maximum(x + b, 0))
        half = big.astype(np.float16)
        self.assertEqual(f(half, b).dtype, np.float16)
        wide = big.astype(np.float64)
        np.testing.assert_array_equal(f(wide, b), np.maximum(wide + b.astype(np.float64), 0))

    def test_layouts(self):
        x, b = self.normal(2, 3, 4, 5), self.normal(3)
        expected = np.maximum(x + b[:, None, None], 0)
        f = actune.jit("bias | relu", layout="nchw")
        np.testing.assert_array_equal(f(x, b), expected)
        last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # channels-last memory, nchw axes
        y = f(last, b)
        np.testing.assert_array_equal(y, expected)
        self.assertEqual(y.strides, last.strides)
        nhwc = actune.jit("bias | relu", layout="nhwc")(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), b)
        np.testing.assert_array_equal(nhwc, expected.transpose(0, 2, 3, 1))

    def test_halves_and_planes(self):
        x = np.random.default_rng(3).normal(size=(2, 6, 4, 5)).astype(np.float32)
        sigmoid = lambda v: 1 / (1 + np.exp(-v))
        for layout, axis in ((None, -1), ("rows", -1), ("nchw", 1)):
            z = x[..., :4] if axis == -1 else x
            first, second = np.split(z, 2, axis=axis)
            f = actune.jit("swiglu(halves)", layout=layout)
            for _ in range(2):  # the second time the short way
                np.testing.assert_allclose(f(np.ascontiguousarray(z)), first * sigmoid(first) * second, rtol=2e-6)
            dy = np.random.default_rng(4).normal(size=first.shape).astype(np.float32)
            dx = f.backward(np.ascontiguousarray(z), dy)
            slope = sigmoid(first) * (1 + first * (1 - sigmoid(first)))
            np.testing.assert_allclose(dx, np.concatenate([dy * second * slope, dy * first * sigmoid(first)], axis=axis), rtol=1e-5, atol=1e-6)
        gate = np.arange(12, dtype=np.float32).reshape(2, 6)
        nchw, nhwc = actune.jit("mul(channel)", layout="nchw"), actune.jit("mul(channel)", layout="nhwc")
        np.testing.assert_array_equal(nchw(x, gate), x * gate[:, :, None, None])
        np.testing.assert_array_equal(nhwc(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), gate).transpose(0, 3, 1, 2), x * gate[:, :, None, None])
        with self.assertRaisesRegex(actune.InvalidArgument, "an odd number"):
            actune.jit("swiglu(halves)")(np.zeros((3, 5), np.float32))
        with self.assertRaisesRegex(actune.InvalidArgument, r"dy has the shape \(3, 4\), x \(3, 4\), so it must have \(3, 2\)"):
            actune.jit("swiglu(halves)").backward(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))

    def test_out(self):
        x, y = self.normal(100), np.full(100, 7, np.float32)
        self.assertIs(actune.jit("relu")(x, out=y), y)
        np.testing.assert_array_equal(y, np.maximum(x, 0))
        for wrong, words in ((np.zeros(99, np.float32), "shape"), (np.zeros(100, np.float64), "f64"), (x, "overlap")):
            with self.assertRaisesRegex(actune.InvalidArgument, words):
                actune.jit("relu")(x, out=wrong)
        y.flags.writeable = False
        with self.assertRaisesRegex((actune.Error, BufferError, TypeError), "(?i)read"):
            actune.jit("relu")(x, out=y)

    def test_backward(self):
        x, dy, b = self.normal(50, 8), self.normal(50, 8), self.normal(8)
        f = actune.jit("bias | silu")
        s = 1 / (1 + np.exp(-(x + b).astype(np.float64)))
        expected = dy * (s + (x + b) * s * (1 - s))
        np.testing.assert_allclose(f.backward(x, dy, b), expected, atol=2e-6)
        dx, db = f.backward(x, dy, b, gradients=["bias"])
        np.testing.assert_allclose(dx, expected, atol=2e-6)
        np.testing.assert_allclose(db, expected.sum(0), atol=1e-4)
        with self.assertRaisesRegex(actune.InvalidArgument, "nonsuch"):
            f.backward(x, dy, b, gradients=["nonsuch"])
        with self.assertRaisesRegex(actune.InvalidArgument, "shape"):
            f.backward(x, dy[:3], b)

    def test_random_stage(self):
        x = np.ones(10000, np.float32)
        f = actune.jit("dropout(0.25)")
        y = f(x, (1, 2))
        np.testing.assert_array_equal(y, f(x, dropout=(1, 2)))
        self.assertTrue((y != f(x, (1, 3))).any())
        self.assertEqual(set(np.unique(y)), {0, np.float32(1 / 0.75)})
        self.assertAlmostEqual((y == 0).mean(), 0.25, delta=0.02)
        np.testing.assert_array_equal(f.backward(x, x, (1, 2)), y)

    def test_anybodys_array(self):
        x, b = self.normal(4, 6), self.normal(6)
        y = actune.jit("bias | relu")(Plain(x), Plain(b))
        self.assertIsInstance(y, actune.Array)
        taken = np.from_dlpack(y)
        del y
        np.testing.assert_array_equal(taken, np.maximum(x + b, 0))
        for versioned in (None, (1, 0)):  # capsules that nobody takes give their memory back
            array = actune.Array((1000,), "f32")
            for _ in range(10):
                array.__dlpack__(max_version=versioned)
        del taken
        self.assertEqual(actune._tensor._lent, {})

    def test_eight_bits(self):
        x = self.normal(1000) * 3
        codes = actune.jit("quantize(i8, scale=0.05)", dtype="i8")(x)
        self.assertEqual(codes.dtype, np.int8)
        np.testing.assert_array_equal(codes, np.clip(np.rint(x / np.float32(0.05)), -127, 127).astype(np.int8))
        back = actune.jit("dequantize(scale=0.05)", dtype="f32")(codes)
        np.testing.assert_array_equal(back, codes.astype(np.float32) * np.float32(0.05))

    def test_own_activation(self):
        f = actune.jit("@cube.c:cube(k=2) | clip(-1, 1)", sources={"cube.c": "float cube(float x, float k) { return k * x * x * x; }"})
        x = self.normal(1000)
        np.testing.assert_allclose(f(x), np.clip(2 * x.astype(np.float64) ** 3, -1, 1), atol=1e-6)
        np.testing.assert_allclose(f.backward(x, x), np.where(abs(2 * x**3) <= 1, 6 * x.astype(np.float64) ** 3, 0), atol=1e-5)
        with self.assertRaisesRegex(actune.Error, r"bad.c:1:\d+"):
            actune.jit("@bad.c:f", sources={"bad.c": "float f(float x) { return *(&x); }"})(x)

    def test_mistakes(self):
        x, b = self.normal(4, 6), self.normal(6)
        f = actune.jit("bias | relu")
        cases = (
            (lambda: actune.jit("nonsuch")(x), actune.SpecError, r"(?s)unknown stage 'nonsuch'.*\^"),
            (lambda: f(x), TypeError, "needs the operand bias"),
            (lambda: f(x, b, b), TypeError, "takes 1 operand"),
            (lambda: f(x, b, bias=b), TypeError, "given twice"),
            (lambda: f(x, nonsuch=b), TypeError, "no operand 'nonsuch'.*bias"),
            (lambda: f(x, b[:5]), actune.InvalidArgument, "operand 'bias' has 5 elements.*wants 6"),
            (lambda: f(x[:, ::2], b[:3]), actune.InvalidArgument, "x: axis 1.*contiguous"),
            (lambda: f([1, 2], b), TypeError, "x is a list"),
            (lambda: f(x.astype(np.complex64), b), actune.Unsupported, "x: .*type"),
            (lambda: f(x.reshape(2, 2, 6), b), actune.InvalidArgument, "layout='nchw'"),
            (lambda: actune.jit("relu", layout="chwn"), actune.InvalidArgument, "'nchw'"),
            (lambda: actune.jit("relu", dtype="f12"), actune.InvalidArgument, "f16"),
            (lambda: actune.jit("relu", dtype="bf16")(x), actune.Unsupported, "NumPy has no type for bf16"),
            (lambda: actune.Context("tpu:0"), actune.Error, "tpu"),
            (lambda: actune.Context(threads=-1), actune.InvalidArgument, "max_threads"),
        )
        for call, kind, words in cases:
            with self.assertRaisesRegex(kind, words):
                call()

    def test_context_and_plan(self):
        context = actune.Context(threads=1, database="")
        f = actune.jit("relu", context=context, dtype="f16")
        x = self.normal(64)
        self.assertEqual(f(x).dtype, np.float16)
        plan = f.plan(x)
        self.assertEqual([port.name for port in plan.ports], ["x", "y"])
        self.assertEqual((plan.info.spec, plan.info.threads), ("relu", 1))
        self.assertTrue(plan.info.tier in ("default", "interpreter"))
        self.assertTrue(plan.source == "" or "relu" in plan.source)
        with self.assertRaisesRegex(actune.InvalidArgument, "record"):
            actune.Context(tuning="sometimes")
        with self.assertLogs("actune-test", "INFO") as log:
            logged = actune.Context(database="", log=logging.getLogger("actune-test"))
            actune.jit("relu", context=logged)(x)
        self.assertRegex(log.output[0], r"relu, forward, \[1, 64, 1\]: ")
        self.assertIs(actune.jit("relu"), actune.jit("relu"))
        self.assertIsNot(actune.jit("relu"), f)

    def test_threads(self):
        f, wrong = actune.jit("bias | tanh"), []

        def work(seed):
            random = np.random.default_rng(seed)
            for _ in range(50):
                x, b = random.standard_normal((int(random.integers(1, 9)), 8)).astype(np.float32), random.standard_normal(8).astype(np.float32)
                wrong.extend([] if np.allclose(f(x, b), np.tanh(x + b), atol=1e-6) else [seed])

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual(wrong, [])

    def test_documentation(self):
        for module in (actune, actune._kernel):
            self.assertEqual(doctest.testmod(module).failed, 0)


if __name__ == "__main__":
    unittest.main()
