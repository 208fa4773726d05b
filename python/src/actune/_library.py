"""libactune through ctypes. The structures are those of actune/actune.h and actune/dlpack.h, in their order; tests compare the two."""
from __future__ import annotations

import ctypes
import ctypes.util
import os
import threading
from ctypes import POINTER, Structure, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Optional

VERSION = (0, 1)

DTYPES = {"f32": 0, "f64": 1, "f16": 2, "bf16": 3, "i8": 4, "u8": 5, "f8e4m3": 6, "f8e5m2": 7}
DTYPE_NAMES = {number: name for name, number in DTYPES.items()}
DTYPE_BYTES = {"f32": 4, "f64": 8, "f16": 2, "bf16": 2, "i8": 1, "u8": 1, "f8e4m3": 1, "f8e5m2": 1}

STATUS_NAMES = ("OK", "INVALID_ARGUMENT", "SYNTAX", "UNSUPPORTED", "NOT_FOUND", "NO_MEMORY", "IO", "DATABASE", "NO_COMPILER", "COMPILE", "DEVICE",
                "VERIFY", "BUSY", "INTERRUPTED", "INTERNAL", "NOT_FINITE")

DLPACK_TENSOR, DLPACK_MANAGED, DLPACK_VERSIONED = range(3)
AXIS_NONE, AXIS_SECOND, AXIS_LAST = range(3)
RANK_MAX = 8


class Shape(Structure):
    _fields_ = [("outer", c_int64), ("channels", c_int64), ("inner", c_int64), ("channels_last", c_bool)]


LOG = ctypes.CFUNCTYPE(None, c_void_p, c_bool, c_char_p)
TUNING = {"cached": 0, "off": 1, "record": 2, "tune": 3}


class ContextOptions(Structure):
    _fields_ = [("database", c_char_p), ("cache_folder", c_char_p), ("device", c_char_p), ("max_threads", c_int), ("no_compile", c_bool),
                ("tuning", c_int), ("tune_seconds", c_double), ("log", LOG), ("log_user", c_void_p)]


class Source(Structure):
    _fields_ = [("name", c_char_p), ("text", c_char_p)]


class PlanDesc(Structure):
    _fields_ = [("spec", c_char_p), ("direction", c_int), ("dtype_in", c_int), ("dtype_out", c_int), ("shape", Shape),
                ("gradients", POINTER(c_char_p)), ("gradient_count", c_int), ("in_place", c_bool), ("max_threads", c_int),
                ("sources", POINTER(Source)), ("source_count", c_int), ("overlap", c_bool)]


class PortInfo(Structure):
    _fields_ = [("name", c_char_p), ("dtype", c_int), ("count", c_int64), ("is_output", c_bool), ("is_random", c_bool)]


class PlanInfo(Structure):
    _fields_ = [("spec", c_char_p), ("kernel", c_char_p), ("variant", c_char_p), ("tier", c_char_p), ("binary", c_char_p), ("note", c_char_p),
                ("threads", c_int), ("workspace_bytes", c_size_t)]


class Buffer(Structure):
    _fields_ = [("data", c_void_p), ("count", c_int64), ("dtype", c_int)]


class Tensor(Structure):
    _fields_ = [("buffer", Buffer), ("shape", Shape), ("is_cuda", c_bool), ("device", c_int), ("read_only", c_bool), ("rank", c_int),
                ("extent", c_int64 * RANK_MAX), ("order", c_int * RANK_MAX)]


RELEASE = ctypes.CFUNCTYPE(None, c_void_p)


class ExportDesc(Structure):
    _fields_ = [("buffer", Buffer), ("extent", POINTER(c_int64)), ("rank", c_int), ("is_cuda", c_bool), ("device", c_int), ("read_only", c_bool),
                ("release", RELEASE), ("user", c_void_p)]


# name -> (result, arguments); a function whose result is c_int gives a status.
_PROTOTYPES = {
    "actune_last_error": (c_char_p, []),
    "actune_context_open": (c_int, [POINTER(ContextOptions), POINTER(c_void_p)]),
    "actune_context_close": (None, [c_void_p]),
    "actune_plan_create": (c_int, [c_void_p, POINTER(PlanDesc), POINTER(c_void_p)]),
    "actune_plan_destroy": (None, [c_void_p]),
    "actune_plan_port_count": (c_int, [c_void_p]),
    "actune_plan_port": (c_int, [c_void_p, c_int, POINTER(PortInfo)]),
    "actune_plan_describe": (None, [c_void_p, POINTER(PlanInfo)]),
    "actune_plan_source": (c_char_p, [c_void_p]),
    "actune_prewarm": (c_int, [c_void_p, c_void_p]),
    "actune_tensor_import": (c_int, [c_void_p, c_int, c_int, POINTER(Tensor)]),
    "actune_execute_tensors": (c_int, [c_void_p, c_void_p, c_int, c_void_p, c_void_p]),
    "actune_tensor_export": (c_int, [POINTER(ExportDesc), c_int, POINTER(c_void_p)]),
}


class Error(RuntimeError):
    """A call of the library that failed. `status` is its code's name ("SYNTAX"), the text says what was wrong, where, and what to do."""

    status = "INTERNAL"


class InvalidArgument(Error, ValueError):
    """An argument, a shape or a tensor that does not fit."""


class SpecError(Error, ValueError):
    """A spec that cannot be read; the message has a caret under the column."""


class Unsupported(Error, NotImplementedError):
    """What this version does not do."""


class NotFound(Error, LookupError):
    """A file, or a function in it, that is not there."""


_CLASSES = {"INVALID_ARGUMENT": InvalidArgument, "SYNTAX": SpecError, "UNSUPPORTED": Unsupported, "NOT_FOUND": NotFound}

_library: Optional[ctypes.CDLL] = None
_lock = threading.Lock()


def _candidates() -> list[str]:
    named = os.environ.get("ACTUNE_LIBRARY")
    if named:
        return [named]
    beside = Path(__file__).with_name("libactune.so")
    found = ctypes.util.find_library("actune")
    return ([str(beside)] if beside.exists() else []) + ([found] if found else []) + ["libactune.so.0", "libactune.so"]


def _load() -> ctypes.CDLL:
    reasons = []
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            reasons.append(str(error))
            continue
        for name, (result, arguments) in _PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise ImportError(f"{path} has no {name}: it is older than this package; install actune {VERSION[0]}.{VERSION[1]}") from None
            function.restype, function.argtypes = result, arguments
        return library
    raise ImportError("libactune.so was not found: install actune, or name the file in the environment variable ACTUNE_LIBRARY\n  " + "\n  ".join(reasons))


def library() -> ctypes.CDLL:
    """The library, loaded at the first call. Any thread."""
    global _library
    with _lock:
        if _library is None:
            _library = _load()
        return _library


def must(status: int) -> None:
    """Raises the error of a call that returned `status`; the message is this thread's."""
    if status == 0:
        return
    name = STATUS_NAMES[status] if status < len(STATUS_NAMES) else str(status)
    error = _CLASSES.get(name, Error)(library().actune_last_error().decode(errors="replace"))
    error.status = name
    raise error
