"""Arrays of NumPy, PyTorch, JAX ... as tensors of the library, through DLPack: nothing is copied."""
from __future__ import annotations

import ctypes
import math
from ctypes import c_char_p, c_int, c_int64, c_void_p
from typing import Any, Optional, Sequence

from . import _library as c

_python = ctypes.pythonapi
_python.PyCapsule_IsValid.restype = c_int
_python.PyCapsule_IsValid.argtypes = [c_void_p, c_char_p]
_python.PyCapsule_GetPointer.restype = c_void_p
_python.PyCapsule_GetPointer.argtypes = [c_void_p, c_char_p]
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]

_LEGACY, _VERSIONED = b"dltensor", b"dltensor_versioned"
_CPU, _CUDA = 1, 2


def form_of(array: Any) -> Optional[tuple]:
    """All but the address that an import depends on, where it can be had without DLPack; arrays of one form differ in their address alone."""
    kind = _module(array)
    if kind == "torch":
        return None if array.is_neg() else (kind, array.shape, array.stride(), array.dtype, array.device)
    return (kind, array.shape, array.strides, array.dtype, array.flags.writeable) if kind == "numpy" and hasattr(array, "strides") else None


def address_of(array: Any) -> int:
    return array.data_ptr() if is_torch(array) else array.__array_interface__["data"][0]


_imported: dict[tuple, bytes] = {}  # form and channel axis -> the tensor as it was imported through DLPack
_FORMS_MAX = 4096


class Imported:
    """A tensor of the library's, and what keeps its memory alive."""

    __slots__ = ("tensor", "owner")

    def __init__(self, array: Any, axis: int, what: str, stream: Optional[int] = None) -> None:
        form = form_of(array)
        known = _imported.get((form, axis)) if form else None
        if known is not None:
            self.tensor, self.owner = c.Tensor.from_buffer_copy(known), array
            self.tensor.buffer.data = address_of(array)
            return
        self.tensor = c.Tensor()
        self.owner = _capsule_of(array, what, stream)
        kind, pointer = _open(self.owner)
        try:
            c.must(c.library().actune_tensor_import(pointer, kind, axis, ctypes.byref(self.tensor)))
        except c.Error as error:
            error.args = (f"{what}: {error}",)
            raise
        if form:
            if len(_imported) >= _FORMS_MAX:
                _imported.clear()
            _imported[form, axis] = bytes(self.tensor)

    @property
    def dtype(self) -> str:
        return c.DTYPE_NAMES[self.tensor.buffer.dtype]

    @property
    def count(self) -> int:
        return self.tensor.buffer.count

    @property
    def device(self) -> str:
        return f"cuda:{self.tensor.device}" if self.tensor.is_cuda else "cpu"


def _capsule_of(array: Any, what: str, stream: Optional[int]) -> Any:
    if not hasattr(array, "__dlpack__"):
        raise TypeError(f"{what} is a {type(array).__name__}, which has no __dlpack__: pass an array of NumPy, PyTorch, JAX ...")
    if getattr(array, "requires_grad", False):
        array = array.detach()
    arguments = {} if stream is None else {"stream": stream}
    try:
        return array.__dlpack__(max_version=(1, 1), **arguments)
    except TypeError:  # of before DLPack 1.0
        return array.__dlpack__(**arguments)
    except BufferError as error:
        raise c.InvalidArgument(f"{what}: {error}") from error


def _open(capsule: Any) -> tuple[int, int]:
    for kind, name in ((c.DLPACK_VERSIONED, _VERSIONED), (c.DLPACK_MANAGED, _LEGACY)):
        if _python.PyCapsule_IsValid(id(capsule), name):
            return kind, _python.PyCapsule_GetPointer(id(capsule), name)
    raise TypeError("__dlpack__ gave no capsule named 'dltensor' or 'dltensor_versioned'")


_lent: dict[int, Any] = {}  # memory that other libraries hold: number of the loan -> its Array


@c.RELEASE
def _release(number: Optional[int]) -> None:
    _lent.pop(number or 0, None)


@ctypes.CFUNCTYPE(None, c_void_p)
def _drop(capsule: int) -> None:
    """A capsule that nobody took: its tensor goes with it. (The capsule is being freed: it must not become a Python object again.)"""
    for name, offset in ((_VERSIONED, 2 * 8), (_LEGACY, 7 * 8)):  # where `deleter` stands
        if _python.PyCapsule_IsValid(capsule, name):
            tensor = _python.PyCapsule_GetPointer(capsule, name)
            ctypes.CFUNCTYPE(None, c_void_p)(c_void_p.from_address(tensor + offset).value)(tensor)


class Array:
    """Memory on the CPU that has `__dlpack__`: what a kernel gives where the input's own library cannot be asked for an output.

    Take it over without a copy: ``numpy.from_dlpack(array)``, ``torch.from_dlpack(array)``, ``jax.dlpack.from_dlpack(array)``.
    """

    def __init__(self, shape: Sequence[int], dtype: str) -> None:
        self.shape, self.dtype = tuple(shape), dtype
        count = math.prod(self.shape)
        self._memory = ctypes.create_string_buffer(count * c.DTYPE_BYTES[dtype] + 64)
        address = ctypes.addressof(self._memory)
        self._buffer = c.Buffer(address + -address % 64, count, c.DTYPES[dtype])

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU, 0

    def __dlpack__(self, *, stream: None = None, max_version: Optional[tuple[int, int]] = None, dl_device: Optional[tuple[int, int]] = None,
                   copy: Optional[bool] = None) -> Any:
        if stream is not None or copy or dl_device not in (None, (_CPU, 0)):
            raise BufferError("this array lies on the CPU and is handed out as it is")
        versioned = max_version is not None and max_version[0] >= 1
        extents = (c_int64 * len(self.shape))(*self.shape)
        number = max(_lent, default=0) + 1
        desc = c.ExportDesc(buffer=self._buffer, extent=extents, rank=len(self.shape), release=_release, user=number)
        tensor = c_void_p()
        c.must(c.library().actune_tensor_export(ctypes.byref(desc), c.DLPACK_VERSIONED if versioned else c.DLPACK_MANAGED, ctypes.byref(tensor)))
        _lent[number] = self
        return _python.PyCapsule_New(tensor, _VERSIONED if versioned else _LEGACY, ctypes.cast(_drop, c_void_p))

    def __repr__(self) -> str:
        return f"actune.Array(shape={self.shape}, dtype={self.dtype!r})"


def _module(array: Any) -> str:
    return type(array).__module__.partition(".")[0]


def is_torch(array: Any) -> bool:
    return _module(array) == "torch"


def stream_of(array: Any) -> Optional[int]:
    """The stream that PyTorch works on for this tensor; None on a CPU."""
    if is_torch(array) and array.is_cuda:
        import torch

        return torch.cuda.current_stream(array.device).cuda_stream
    return None


def _numpy_dtype(dtype: str) -> Any:
    import numpy

    names = {"f32": numpy.float32, "f64": numpy.float64, "f16": numpy.float16, "i8": numpy.int8, "u8": numpy.uint8}
    if dtype not in names:
        raise c.Unsupported(f"NumPy has no type for {dtype}: pass `out`, or tensors of PyTorch")
    return names[dtype]


def torch_dtype(dtype: str) -> Any:
    import torch

    known = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "uint8", "f8e4m3": "float8_e4m3fn",
             "f8e5m2": "float8_e5m2"}
    found = getattr(torch, known[dtype], None)
    if found is None:
        raise c.Unsupported(f"PyTorch {torch.__version__} has no type for {dtype}")
    return found


def empty_like(array: Any, dtype: str, shape: Optional[Sequence[int]] = None) -> Any:
    """Uninitialised, of the array's library and device; of its shape and order of axes unless `shape` says another."""
    if is_torch(array):
        import torch

        if shape is None:
            return torch.empty_like(array, dtype=torch_dtype(dtype), requires_grad=False)
        return torch.empty(tuple(shape), dtype=torch_dtype(dtype), device=array.device)
    if _module(array) == "numpy":
        import numpy

        return numpy.empty_like(array, dtype=_numpy_dtype(dtype), subok=False) if shape is None else numpy.empty(shape, _numpy_dtype(dtype))
    return Array(array.shape if shape is None else shape, dtype)


def cast(array: Any, dtype: str) -> Any:
    """The array in another element type, where its library is known; else as it is (the kernel will say what it wants)."""
    if is_torch(array):
        return array.detach().to(torch_dtype(dtype))
    return array.astype(_numpy_dtype(dtype)) if _module(array) == "numpy" else array


def words(like: Any, seed: int, offset: int) -> Any:
    """Seed and offset of a random stage as its operand: two 64-bit words, typed f64, on the device of `like`."""
    both = (ctypes.c_uint64 * 2)(seed, offset)
    if is_torch(like):
        import torch

        return torch.frombuffer(bytearray(both), dtype=torch.float64).to(like.device)
    if _module(like) == "numpy":
        import numpy

        return numpy.frombuffer(bytes(both), dtype=numpy.float64).copy()
    array = Array((2,), "f64")
    ctypes.memmove(array._buffer.data, both, 16)
    return array
