"""libactune.so through ctypes, as far as the race with PyTorch needs it. The structures are those of actune/actune.h."""
import ctypes

import rows

DTYPES = {"f32": 0, "f64": 1, "f16": 2, "bf16": 3}
NAMES = {number: name for name, number in DTYPES.items()}
BYTES = {"f32": 4, "f64": 8, "f16": 2, "bf16": 2}


class Options(ctypes.Structure):
    _fields_ = [("database", ctypes.c_char_p), ("cache_folder", ctypes.c_char_p), ("device", ctypes.c_char_p),
                ("max_threads", ctypes.c_int), ("no_compile", ctypes.c_bool), ("tuning", ctypes.c_int), ("tune_seconds", ctypes.c_double),
                ("log", ctypes.c_void_p), ("log_user", ctypes.c_void_p)]


class Shape(ctypes.Structure):
    _fields_ = [("outer", ctypes.c_int64), ("channels", ctypes.c_int64), ("inner", ctypes.c_int64),
                ("channels_last", ctypes.c_bool)]


class PlanDesc(ctypes.Structure):
    _fields_ = [("spec", ctypes.c_char_p), ("direction", ctypes.c_int), ("dtype_in", ctypes.c_int), ("dtype_out", ctypes.c_int),
                ("shape", Shape), ("gradients", ctypes.POINTER(ctypes.c_char_p)), ("gradient_count", ctypes.c_int),
                ("in_place", ctypes.c_bool), ("max_threads", ctypes.c_int), ("sources", ctypes.c_void_p), ("source_count", ctypes.c_int), ("overlap", ctypes.c_bool)]


class PortInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_int), ("count", ctypes.c_int64), ("is_output", ctypes.c_bool)]


class PlanInfo(ctypes.Structure):
    _fields_ = [("spec", ctypes.c_char_p), ("kernel", ctypes.c_char_p), ("variant", ctypes.c_char_p), ("tier", ctypes.c_char_p),
                ("binary", ctypes.c_char_p), ("note", ctypes.c_char_p), ("threads", ctypes.c_int), ("workspace_bytes", ctypes.c_size_t)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("count", ctypes.c_int64), ("dtype", ctypes.c_int)]


class Failure(Exception):
    """What actune_last_error says."""


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.actune_last_error.restype = ctypes.c_char_p
        self.c.actune_context_close.argtypes = [ctypes.c_void_p]
        self.c.actune_context_close.restype = None
        self.c.actune_plan_destroy.argtypes = [ctypes.c_void_p]
        self.c.actune_plan_destroy.restype = None
        self.c.actune_plan_describe.restype = None

    def must(self, status):
        if status != 0:
            raise Failure(self.c.actune_last_error().decode())


class Context:
    """`database` "": none."""

    def __init__(self, library, device, database=None):
        self.library, self.handle = library, ctypes.c_void_p()
        options = Options(database=None if database is None else database.encode(), device=device.encode())
        library.must(library.c.actune_context_open(ctypes.byref(options), ctypes.byref(self.handle)))

    def close(self):
        self.library.c.actune_context_close(self.handle)


class Plan:
    """The plan of a row of rows.jsonl. `ports`: (name, type, elements, is it written), in the order of execute's pointers."""

    def __init__(self, context, row):
        self.library, self.handle = context.library, ctypes.c_void_p()
        dtype = DTYPES[row["dtype"]]
        desc = PlanDesc(spec=row["spec"].encode(), direction=int(row["direction"] == "backward"), dtype_in=dtype, dtype_out=dtype,
                        shape=Shape(*rows.extents(row)))
        self.library.must(self.library.c.actune_plan_create(context.handle, ctypes.byref(desc), ctypes.byref(self.handle)))
        self.ports = [self.port(i) for i in range(self.library.c.actune_plan_port_count(self.handle))]
        info = PlanInfo()
        self.library.c.actune_plan_describe(self.handle, ctypes.byref(info))
        self.detail = f"{info.variant.decode()} ({info.tier.decode()})"
        self.moved_bytes = sum(BYTES[dtype] * count for _, dtype, count, _ in self.ports)

    def port(self, index):
        info = PortInfo()
        self.library.must(self.library.c.actune_plan_port(self.handle, index, ctypes.byref(info)))
        return info.name.decode(), NAMES[info.dtype], info.count, info.is_output

    def execute(self, pointers, stream):
        """On a stream's number; 0 or None: the default stream, or the CPU."""
        buffers = (Buffer * len(self.ports))(*[Buffer(p, count, DTYPES[dtype]) for p, (_, dtype, count, _) in zip(pointers, self.ports)])
        self.library.must(self.library.c.actune_execute_on(self.handle, buffers, len(self.ports), ctypes.c_void_p(stream), None))

    def prewarm(self, stream):
        self.library.must(self.library.c.actune_prewarm(self.handle, ctypes.c_void_p(stream)))

    def close(self):
        self.library.c.actune_plan_destroy(self.handle)
