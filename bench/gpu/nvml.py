"""Clocks and throttle reasons as clocks.c reads them: through NVML, reading only, "unknown" where it is missing."""
import ctypes

# nvml.h's bits that slow a running kernel down; idle and what a user has set are no trouble.
REASONS = {0x4: "power cap", 0x8: "hardware slowdown", 0x20: "thermal", 0x40: "hot", 0x80: "external power brake"}


class Clocks:
    def __init__(self):
        self.device = ctypes.c_void_p()
        try:
            self.c = ctypes.CDLL("libnvidia-ml.so.1")
            if self.c.nvmlInit_v2() != 0 or self.c.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device)) != 0:
                self.c = None
        except (OSError, AttributeError):
            self.c = None

    def mhz(self, kind):
        value = ctypes.c_uint()
        return value.value if self.c and self.c.nvmlDeviceGetClockInfo(self.device, kind, ctypes.byref(value)) == 0 else 0

    def read(self):
        """Throttle reasons as text, SM and memory clock in MHz; 0 unknown."""
        bits = ctypes.c_ulonglong()
        ask = self.c and (getattr(self.c, "nvmlDeviceGetCurrentClocksEventReasons", None) or
                          getattr(self.c, "nvmlDeviceGetCurrentClocksThrottleReasons", None))
        if not ask or ask(self.device, ctypes.byref(bits)) != 0:
            bits.value = 0
        return ", ".join(name for bit, name in REASONS.items() if bits.value & bit), self.mhz(1), self.mhz(2)
