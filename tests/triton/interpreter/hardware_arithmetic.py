"""Products and rounding of a GPU, for the interpreter.

Triton's interpreter stores bfloat16 as bit patterns: products multiply the patterns, and casts from float32 truncate. Here
products convert their operands first, TF32 products drop the 13 low bits that tensor cores ignore, and casts round to
nearest even.
"""

from contextlib import contextmanager

import numpy as np


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_bfloat16(values: np.ndarray) -> np.ndarray:
    """The bits of float32 `values`, rounded to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def truncate_tf32(values: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


@contextmanager
def hardware_arithmetic():
    import triton.language as tl
    from triton._C.libtriton import ir
    from triton.runtime import interpreter

    builder = interpreter.InterpreterBuilder
    plain_dot, plain_cast = builder.create_dot, builder.cast_impl

    def operand(handle, precision):
        if handle.dtype.scalar == tl.bfloat16:
            return widen_bfloat16(handle.data)
        if handle.dtype.scalar == tl.float32 and precision == ir.INPUT_PRECISION.TF32:
            return truncate_tf32(handle.data)
        return handle.data

    def create_dot(self, a, b, d, input_precision, max_num_imprecise_acc):
        left, right = operand(a, input_precision), operand(b, input_precision)
        product = np.matmul(left, right, dtype=d.data.dtype) + d.data
        return interpreter.TensorHandle(product, d.dtype.scalar)

    def cast_impl(self, src, dst_type):
        if src.dtype.scalar == tl.float32 and dst_type.scalar == tl.bfloat16:
            return interpreter.TensorHandle(round_bfloat16(src.data), tl.bfloat16)
        if src.dtype.scalar == tl.bfloat16 and dst_type.scalar == tl.float32:
            return interpreter.TensorHandle(widen_bfloat16(src.data), tl.float32)
        return plain_cast(self, src, dst_type)

    names = ("create_fp_ext", "create_fp_trunc")
    plain = {name: getattr(builder, name) for name in names}
    builder.create_dot, builder.cast_impl = create_dot, cast_impl
    for name in names:
        setattr(builder, name, cast_impl)
    try:
        yield
    finally:
        builder.create_dot, builder.cast_impl = plain_dot, plain_cast
        for name in names:
            setattr(builder, name, plain[name])
