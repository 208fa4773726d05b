"""Activation kernels tuned for the machine they run on.

>>> import numpy as np, actune
>>> relu6 = actune.jit("bias | clip(0, 6)")
>>> relu6(np.array([-1, 4], np.float32), bias=np.array([0, 3], np.float32))
array([0., 6.], dtype=float32)
"""
from ._kernel import Context, Kernel, Plan, PlanInfo, Port, jit
from ._library import Error, InvalidArgument, NotFound, SpecError, Unsupported
from ._tensor import Array

__version__ = "0.1.0"
__all__ = ["Array", "Context", "Error", "InvalidArgument", "Kernel", "NotFound", "Plan", "PlanInfo", "Port", "SpecError", "Unsupported", "jit"]
