"""As much of PyTorch as bench/gpu/torch_peer.py needs, over the fake driver. All numbers are between 0 and 1, every operation is a copy;
torch.compile with options fails, as it does without Triton."""
import atexit
import contextlib
import ctypes
import os
import random
import struct
import types

__version__ = "fake"
float32, float64, float16, bfloat16 = "f", "d", "e", "no such type here"

cuda_library = ctypes.CDLL(os.environ["ACTUNE_LIBCUDA"])
pool, capturing = {}, False


def call(name, *arguments):
    code = getattr(cuda_library, name)(*arguments)
    if code != 0:
        raise RuntimeError(f"CUDA error: {name} gave {code}")


def make(name, *arguments):
    handle = ctypes.c_void_p()
    call(name, ctypes.byref(handle), *arguments)
    return handle


call("cuInit", 0)
context = make("cuDevicePrimaryCtxRetain", 0)
call("cuCtxPushCurrent_v2", context)


class Stream:
    def __init__(self):
        self.handle = make("cuStreamCreate", 1)
        self.cuda_stream = self.handle.value
        atexit.register(lambda: call("cuStreamDestroy_v2", self.handle))


current = [types.SimpleNamespace(handle=None, cuda_stream=0)]


@contextlib.contextmanager
def use(stream):
    current.append(stream)
    yield
    current.pop()


def memory(size):
    """As PyTorch's allocator: pieces are kept, and a capture takes them from what is there."""
    pieces = pool.setdefault(size, [])
    if not pieces and not capturing:
        pieces.extend(make("cuMemAlloc_v2", ctypes.c_size_t(size)).value for _ in range(16))
    return pieces.pop()


class Tensor:
    def __init__(self, count, dtype):
        self.count, self.dtype, self.size, self.pointer = count, dtype, count * struct.calcsize(dtype), None
        self.pointer = memory(self.size)

    def __del__(self):
        if self.pointer is not None:
            pool[self.size].append(self.pointer)

    def data_ptr(self):
        return self.pointer

    def write(self, values):
        data = struct.pack(f"{self.count}{self.dtype}", *values)
        call("cuMemcpyHtoDAsync_v2", ctypes.c_void_p(self.pointer), data, ctypes.c_size_t(self.size), current[-1].handle)
        call("cuStreamSynchronize", current[-1].handle)
        return self

    def fill_(self, value):
        return self.write([value] * self.count)

    def uniform_(self, low, high):
        return self.write([random.random() for _ in range(self.count)])

    def copy_(self, other):
        call("cuMemcpyDtoDAsync_v2", ctypes.c_void_p(self.pointer), ctypes.c_void_p(other.pointer), ctypes.c_size_t(self.size),
             current[-1].handle)
        return self

    def flatten(self):
        return self

    def numel(self):
        return self.count

    def __getitem__(self, part):
        data = ctypes.create_string_buffer(self.size)
        call("cuMemcpyDtoHAsync_v2", data, ctypes.c_void_p(self.pointer), ctypes.c_size_t(self.size), current[-1].handle)
        call("cuStreamSynchronize", current[-1].handle)
        values = list(struct.unpack(f"{self.count}{self.dtype}", data.raw))[part]
        return types.SimpleNamespace(cpu=lambda: types.SimpleNamespace(tolist=lambda: values))


def empty(shape, dtype=float32, device="cuda"):
    count = 1
    for extent in shape:
        count *= extent
    return Tensor(count, dtype)


def same_numbers(x):
    return Tensor(x.count, x.dtype).copy_(x)


class CUDAGraph:
    def replay(self):
        call("cuGraphLaunch", self.exec, current[-1].handle)


@contextlib.contextmanager
def capture(graph, stream):
    global capturing
    with use(stream):
        call("cuStreamBeginCapture_v2", stream.handle, 1)
        capturing = True
        try:
            yield
        finally:
            capturing = False
            made = make_last("cuStreamEndCapture", stream.handle)
    graph.exec = make("cuGraphInstantiateWithFlags", made, ctypes.c_ulonglong(0))
    call("cuGraphDestroy", made)
    atexit.register(lambda: call("cuGraphExecDestroy", graph.exec))


def make_last(name, *arguments):
    """The handle is the last parameter."""
    handle = ctypes.c_void_p()
    call(name, *arguments, ctypes.byref(handle))
    return handle


class Event:
    def __init__(self, enable_timing):
        self.handle = make("cuEventCreate", 0)

    def __del__(self):
        call("cuEventDestroy_v2", self.handle)

    def record(self):
        call("cuEventRecord", self.handle, current[-1].handle)

    def synchronize(self):
        call("cuEventSynchronize", self.handle)

    def elapsed_time(self, end):
        milliseconds = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(milliseconds), self.handle, end.handle)
        return milliseconds.value


def compile_(function, dynamic, options=None):
    if options:
        def fail(x, *rest):
            raise RuntimeError("no Triton\nin this PyTorch")
        return fail
    return function


compile = compile_
ops = types.SimpleNamespace(aten=None)
_dynamo = types.SimpleNamespace(reset=lambda: None)
cuda = types.SimpleNamespace(
    empty_cache=lambda: None, mem_get_info=lambda: (1 << 30, 1 << 30),
    is_available=lambda: True, synchronize=lambda: call("cuStreamSynchronize", None), Stream=Stream, stream=use,
    current_stream=lambda: current[-1], graph=capture, CUDAGraph=CUDAGraph, Event=Event,
    get_device_properties=lambda device: types.SimpleNamespace(L2_cache_size=4 << 20))


@atexit.register
def close():
    for pieces in pool.values():
        for pointer in pieces:
            call("cuMemFree_v2", ctypes.c_void_p(pointer))
    call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
    call("cuDevicePrimaryCtxRelease_v2", 0)
