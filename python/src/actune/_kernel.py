"""Contexts, plans, and `jit`: a spec as a function on arrays."""
from __future__ import annotations

import ctypes
import json
import logging
import re
import threading
import weakref
from ctypes import POINTER, byref, c_char_p, c_void_p
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Union

from . import _library as c
from . import _tensor as t

_CALLS_MAX = 1024  # of a kernel

LAYOUTS = {None: c.AXIS_NONE, "nchw": c.AXIS_SECOND, "nhwc": c.AXIS_LAST, "rows": c.AXIS_LAST}


class Context:
    """One device with its tuned kernels, its cache of binaries and its threads. Any thread; lives until its last plan is gone.

    tuning: what happens for a size that the database has no winner of: 'cached' (the nearest), 'off' (defaults alone), 'record' (written down for
            `actune tune --recorded`), 'tune' (there and then, for `tune_seconds` a kernel).
    log:    gets a line a plan: which kernel it is and why.

    >>> context = Context()
    >>> context.device
    'cpu'
    """

    def __init__(self, device: str = "cpu", *, database: Optional[str] = None, cache_folder: Optional[str] = None, threads: int = 0,
                 no_compile: bool = False, tuning: str = "cached", tune_seconds: float = 0, log: Optional[logging.Logger] = None) -> None:
        if tuning not in c.TUNING:
            raise c.InvalidArgument(f"tuning is {tuning!r}; it is one of {', '.join(c.TUNING)}")
        self._handle = c_void_p()
        self.device = device
        self._log = c.LOG() if log is None else c.LOG(lambda user, warning, message: log.log(
            logging.WARNING if warning else logging.INFO, "%s", message.decode(errors="replace")))
        encode = lambda text: None if text is None else text.encode()  # noqa: E731
        options = c.ContextOptions(database=encode(database), cache_folder=encode(cache_folder), device=device.encode(), max_threads=threads,
                                   no_compile=no_compile, tuning=c.TUNING[tuning], tune_seconds=tune_seconds, log=self._log)
        c.must(c.library().actune_context_open(byref(options), byref(self._handle)))
        weakref.finalize(self, c.library().actune_context_close, self._handle)


_contexts: dict[str, Context] = {}
_lock = threading.Lock()


def default_context(device: str) -> Context:
    """The context that kernels without one of their own share, opened at the first use of its device."""
    with _lock:
        if device not in _contexts:
            _contexts[device] = Context(device)
        return _contexts[device]


class Port(NamedTuple):
    """A tensor that a plan reads or writes."""

    name: str
    dtype: str
    count: int
    is_output: bool
    is_random: bool


class PlanInfo(NamedTuple):
    """Why this kernel (actune_plan_info)."""

    spec: str
    kernel: str
    variant: str
    tier: str
    binary: str
    note: str
    threads: int
    workspace_bytes: int


class Plan:
    """One kernel made ready for one shape. Any thread."""

    def __init__(self, context: Context, desc: c.PlanDesc) -> None:
        self._context, self._handle = context, c_void_p()
        c.must(c.library().actune_plan_create(context._handle, byref(desc), byref(self._handle)))
        weakref.finalize(self, c.library().actune_plan_destroy, self._handle)
        self.ports = [self._port(i) for i in range(c.library().actune_plan_port_count(self._handle))]
        self.inputs = [port for port in self.ports if not port.is_output]
        self.outputs = [port for port in self.ports if port.is_output]

    def _port(self, index: int) -> Port:
        info = c.PortInfo()
        c.must(c.library().actune_plan_port(self._handle, index, byref(info)))
        return Port(info.name.decode(), c.DTYPE_NAMES[info.dtype], info.count, info.is_output, info.is_random)

    @property
    def info(self) -> PlanInfo:
        info = c.PlanInfo()
        c.library().actune_plan_describe(self._handle, byref(info))
        texts = [getattr(info, name).decode() for name in PlanInfo._fields[:6]]
        return PlanInfo(*texts, info.threads, info.workspace_bytes)

    @property
    def source(self) -> str:
        """The generated source; empty where it is interpreted."""
        return c.library().actune_plan_source(self._handle).decode()

    def execute(self, tensors: Sequence[t.Imported], stream: Optional[int] = None) -> None:
        """On one tensor a port, in their order. The interpreter's lock is not held meanwhile."""
        pointers = (POINTER(c.Tensor) * len(tensors))(*[ctypes.pointer(tensor.tensor) for tensor in tensors])
        c.must(c.library().actune_execute_tensors(self._handle, pointers, len(tensors), stream, None))


kernels: dict[str, "Kernel"] = {}  # all that `jit` gave, by their keys: equal words give one kernel, and graphs of torch.compile name it so

_HALVES = re.compile(r"\s*(\[[^\]]*\]\s*)?(halves\b|(glu|reglu|geglu|geglu_tanh|swiglu)\s*\()", re.IGNORECASE)  # specs of two halves of x


class _Call:
    """An execution on arrays of known forms, all but the addresses filled in: what a call costs in Python when its like has been before."""

    __slots__ = ("plan", "block", "bytes", "pointers", "step", "outputs")

    def __init__(self, plan: Plan, tensors: Sequence[t.Imported], outputs: Sequence[tuple[str, Optional[tuple[int, ...]]]]) -> None:
        self.plan, self.outputs = plan, outputs
        self.block = c.Tensor * len(tensors)
        self.bytes = b"".join(bytes(tensor.tensor) for tensor in tensors)
        self.pointers = c_void_p * len(tensors)
        self.step = range(0, len(self.bytes), ctypes.sizeof(c.Tensor))

    def run(self, x: Any, operands: Sequence[Any]) -> Any:
        results = [t.empty_like(x, dtype, shape) for dtype, shape in self.outputs]
        block = self.block.from_buffer_copy(self.bytes)
        for tensor, array in zip(block, (x, *operands, *results)):
            tensor.buffer.data = t.address_of(array)
        base = ctypes.addressof(block)
        c.must(c.library().actune_execute_tensors(self.plan._handle, self.pointers(*[base + at for at in self.step]), len(block), t.stream_of(x), None))
        return results[0] if len(results) == 1 else tuple(results)


Operand = Union[Any, tuple[int, int]]


class Kernel:
    """A spec as a function on arrays: what `jit` gives. Plans are made when a shape comes for the first time, and kept. Any thread."""

    def __init__(self, spec: str, layout: Optional[str], dtype: Optional[str], sources: Mapping[str, str], context: Optional[Context],
                 threads: int) -> None:
        if layout not in LAYOUTS:
            raise c.InvalidArgument(f"layout is {layout!r}; it is 'nchw' (channels on the second axis), 'nhwc' or 'rows' (on the last), or None")
        if dtype is not None and dtype not in c.DTYPES:
            raise c.InvalidArgument(f"dtype is {dtype!r}; it is one of {', '.join(c.DTYPES)}, or None (that of x)")
        self.spec, self.layout, self.dtype = spec, layout, dtype
        self.is_halved = _HALVES.match(spec) is not None
        self._sources, self._context, self._threads = dict(sources), context, threads
        parts = [spec, layout, dtype, threads, sorted(self._sources.items())] + ([id(context)] if context else [])
        self.key = json.dumps(parts)  # what a graph that torch.compile made names it by
        self._plans: dict[tuple, Plan] = {}
        self._calls: dict[tuple, _Call] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"actune.jit({self.spec!r})"

    # --- plans ---

    def _make(self, key: tuple) -> Plan:
        device, backward, dtype_in, dtype_out, shape, gradients = key
        context = self._context or default_context(device)
        names = (c_char_p * max(1, len(gradients)))(*[name.encode() for name in gradients])
        sources = (c.Source * max(1, len(self._sources)))(*[c.Source(name.encode(), text.encode()) for name, text in self._sources.items()])
        desc = c.PlanDesc(spec=self.spec.encode(), direction=int(backward), dtype_in=c.DTYPES[dtype_in], dtype_out=c.DTYPES[dtype_out],
                          shape=c.Shape(*shape), gradients=names, gradient_count=len(gradients), max_threads=self._threads, sources=sources,
                          source_count=len(self._sources))
        return Plan(context, desc)

    def _plan_of(self, x: t.Imported, backward: bool, gradients: tuple[str, ...]) -> Plan:
        shape = x.tensor.shape
        key = (x.device, backward, x.dtype, self.dtype or x.dtype, (shape.outer, shape.channels, shape.inner, shape.channels_last), gradients)
        with self._lock:
            plan = self._plans.get(key)
            if plan is None:
                plan = self._plans[key] = self._make(key)
            return plan

    def _axis(self, x: Any) -> int:
        """Where the channels are: as `layout` says; up to two axes, on the last one."""
        if self.layout is None and (self.is_halved or len(getattr(x, "shape", ())) in (1, 2)):
            return c.AXIS_LAST
        return LAYOUTS[self.layout]

    def shape_of_y(self, x: Any) -> Optional[tuple[int, ...]]:
        """None: that of x. Of specs that begin with `halves`: half as many channels."""
        if not self.is_halved:
            return None
        shape = list(x.shape)
        shape[1 if self.layout == "nchw" else -1] //= 2
        return tuple(shape)

    def plan(self, x: Any, *, backward: bool = False, gradients: Sequence[str] = ()) -> Plan:
        """The plan for arrays like `x`: which kernel it is and why (`.info`), its source (`.source`)."""
        return self._plan_of(t.Imported(x, self._axis(x), "x"), backward, tuple(gradients))

    # --- execution ---

    def _operand(self, plan: Plan, port: Port, value: Operand, x: Any, x_imported: t.Imported) -> t.Imported:
        what = f"operand '{port.name}'"
        if port.is_random:
            if isinstance(value, tuple):
                value = t.words(x, *value)
            return t.Imported(value, c.AXIS_NONE, what)
        axis = self._axis(x) if port.count == x_imported.count and len(getattr(value, "shape", ())) == len(x.shape) else c.AXIS_NONE
        imported = t.Imported(value, axis, what, t.stream_of(x) and -1)
        if imported.dtype != port.dtype:
            imported = t.Imported(t.cast(value, port.dtype), axis, what, t.stream_of(x) and -1)
        if imported.count != port.count:
            hint = ""
            if self.layout is None and len(x.shape) > 2 and port.count == 1:
                hint = "; x has more than two axes: say where its channels are, with layout='nchw', 'nhwc' or 'rows'"
            raise c.InvalidArgument(f"{what} has {imported.count} elements, '{plan.info.spec}' wants {port.count}{hint}")
        return imported

    def _gather(self, plan: Plan, first: list[t.Imported], x: Any, operands: Sequence[Operand], named: Mapping[str, Operand]) -> list[t.Imported]:
        ports = plan.inputs[len(first):]
        names = [port.name for port in ports]
        given = dict(zip(names, operands))
        for name, value in named.items():
            if name not in names:
                raise TypeError(f"'{plan.info.spec}' has no operand '{name}' here; it takes {', '.join(names) or 'none'}")
            if name in given:
                raise TypeError(f"operand '{name}' is given twice")
            given[name] = value
        missing = [name for name in names if name not in given]
        if missing:
            raise TypeError(f"'{plan.info.spec}' needs the operand{'s' * (len(missing) > 1)} {', '.join(missing)}")
        if len(operands) > len(names):
            raise TypeError(f"'{plan.info.spec}' takes {len(names)} operand{'s' * (len(names) != 1)} ({', '.join(names) or 'none'}), "
                            f"not {len(operands)}")
        return first + [self._operand(plan, port, given[port.name], x, first[0]) for port in ports]

    def _run(self, plan: Plan, inputs: list[t.Imported], x: Any,
             outs: Sequence[Any]) -> tuple[tuple[Any, ...], list[t.Imported]]:
        axis, results, imported = self._axis(x), [], []
        half = self.shape_of_y(x) if plan.outputs[0].name == "y" else None
        for i, port in enumerate(plan.outputs):
            # y or dx; and gradients of operands of x's shape
            like_x = i == 0 or (not self.is_halved and port.count == inputs[0].count)
            shape = None if like_x and not half else half if like_x else (port.count,)
            result = outs[i] if i < len(outs) and outs[i] is not None else t.empty_like(x, port.dtype, shape)
            results.append(result)
            imported.append(t.Imported(result, axis if like_x else c.AXIS_NONE, f"output '{port.name}'", t.stream_of(x) and -1))
            if like_x and tuple(result.shape) != (half or tuple(x.shape)):
                raise c.InvalidArgument(f"output '{port.name}' has the shape {tuple(result.shape)}, x {tuple(x.shape)}"
                                        + (f", so it must have {half}" if half else ""))
        plan.execute(inputs + imported, t.stream_of(x))
        return tuple(results), imported

    def forward(self, x: Any, *operands: Operand, out: Any = None, **named: Operand) -> Any:
        """y, without anything that autograd would need: see `__call__`."""
        forms = None
        if out is None and not named:
            forms = tuple(map(t.form_of, (x, *operands)))
            call = self._calls.get(forms)
            if call is not None:
                return call.run(x, operands)
        imported = t.Imported(x, self._axis(x), "x", t.stream_of(x) and -1)
        plan = self._plan_of(imported, False, ())
        inputs = self._gather(plan, [imported], x, operands, named)
        results, tensors = self._run(plan, inputs, x, [out])
        if forms and None not in forms and all(tensor.owner is array for tensor, array in zip(inputs[1:], operands)):
            self._remember(forms, _Call(plan, inputs + tensors, [(port.dtype, None if i == 0 and not self.is_halved else tuple(result.shape))
                                                                 for i, (port, result) in enumerate(zip(plan.outputs, results))]))
        return results[0] if len(results) == 1 else results

    def _remember(self, forms: tuple, call: _Call) -> None:
        if len(self._calls) >= _CALLS_MAX:
            self._calls.clear()
        self._calls[forms] = call

    def backward(self, x: Any, dy: Any, *operands: Operand, gradients: Sequence[str] = (), out: Any = None, **named: Operand) -> Any:
        """dx; with `gradients` (names of operands and learnable parameters) a tuple of dx and each of them, in the order of `gradients`.

        `operands` are those that the gradient needs: `plan(x, backward=True, gradients=...).inputs` names them behind x (with [from=output]
        in the spec: y) and dy.
        """
        first = t.Imported(x, self._axis(x), "x", t.stream_of(x) and -1)
        second = t.Imported(dy, self._axis(x), "dy", t.stream_of(x) and -1)
        half = self.shape_of_y(x)
        if tuple(dy.shape) != (half or tuple(x.shape)):
            raise c.InvalidArgument(f"dy has the shape {tuple(dy.shape)}, x {tuple(x.shape)}" + (f", so it must have {half}" if half else ""))
        plan = self._plan_of(first, True, tuple(gradients))
        results, _ = self._run(plan, self._gather(plan, [first, second], x, operands, named), x, [out])
        found = dict(zip((port.name for port in plan.outputs), results))
        return results[0] if not gradients else (results[0], *[found["d" + name] for name in gradients])

    def __call__(self, x: Any, *operands: Operand, out: Any = None, **named: Operand) -> Any:
        """y, an array of x's library, shape (half as many channels where the spec begins with `halves`) and order of axes; with `out`, which may not overlap x, written there.

        Operands by position, in the order of the pipeline, or by name: arrays, or for a random stage (dropout) a tuple (seed, offset).
        Tensors of PyTorch that require a gradient get it, through the kernel derived from the spec.
        """
        if t.is_torch(x):
            from . import _torch

            return _torch.apply(self, x, operands, named, out)
        return self.forward(x, *operands, out=out, **named)


def jit(spec: str, *, layout: Optional[str] = None, dtype: Optional[str] = None, sources: Optional[Mapping[str, str]] = None,
        context: Optional[Context] = None, threads: int = 0) -> Kernel:
    """Makes a function of a spec.

    layout:  where the channels of tensors with more than two axes are: 'nchw', 'nhwc' or 'rows'. Only specs with per-channel operands ask.
    dtype:   of the result, 'f32', 'f16' ...; None: that of x.
    sources: C texts of your own activations by file name, e.g. {'my_act.c': 'float my_act(float x) { ... }'} for '@my_act.c:my_act'.
    context: device, database and threads of your own; None: one for each device, shared.

    >>> import numpy as np
    >>> f = jit("bias | relu | clip(0, 6)")
    >>> f(np.array([[-1, 2, 9]], np.float32), np.array([0.5, 0.5, 0.5], np.float32))
    array([[0. , 2.5, 6. ]], dtype=float32)
    """
    kernel = Kernel(spec, layout, dtype, sources or {}, context, threads)
    return kernels.setdefault(kernel.key, kernel)
