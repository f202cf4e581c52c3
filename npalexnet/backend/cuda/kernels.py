"""The hot primitives as CUDA kernels: what `kernels.cu` computes, seen from Python."""

from __future__ import annotations

from npalexnet.backend.cuda.element_kernels import ElementKernels
from npalexnet.backend.cuda.window_kernels import WindowKernels


class Kernels(WindowKernels, ElementKernels):
    """The kernels for one device.

    All arrays are on that device and of the same dtype, if nothing else is said: float32, float64, float16 or bfloat16;
    numbers of 16 bits are computed with as float32, and rounded once. A ValueError is raised for shapes or dtypes that
    don't fit each other.

    A method returns None where the kernels don't do what is asked (an unusual memory layout, too many pixels): nothing
    has been changed then, and the lines of the `primitive` of that name have to do it.
    """
