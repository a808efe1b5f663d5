"""The simulated bfloat16 arithmetic against torch."""

import numpy as np
import torch
import triton
import triton.language as tl

from tests.triton.interpreter.hardware_arithmetic import round_bfloat16, truncate_tf32, widen_bfloat16

SPECIAL = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 3.3895314e38, 1.00390625, 1.01171875]


def bits_of(tensor):
    return tensor.view(torch.int16).numpy().view(np.uint16)


def test_rounding_and_widening_are_torchs():
    values = torch.cat((torch.tensor(SPECIAL), torch.randn(10000) * torch.randn(10000).mul(20).exp2()))
    expected = values.bfloat16()
    actual = round_bfloat16(values.numpy())
    assert np.array_equal(actual[~values.isnan()], bits_of(expected)[~values.isnan()])
    assert np.isnan(widen_bfloat16(actual)[values.isnan().numpy()]).all()
    assert np.array_equal(widen_bfloat16(bits_of(expected)), expected.float().numpy(), equal_nan=True)


def test_tf32_keeps_ten_bits():
    assert truncate_tf32(np.float32([1 + 2**-10, 1 + 2**-11])).tolist() == [1 + 2**-10, 1.0]


@triton.jit
def product_kernel(out, left, right, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    at = i[:, None] * SIZE + i[None, :]
    product = tl.dot(tl.load(left + at), tl.load(right + at))
    tl.store(out + at, (product + tl.load(left + at).to(tl.float32)).to(tl.bfloat16))


def test_product_and_cast_inside_a_kernel(as_hardware):
    left, right = (torch.randn(16, 16).bfloat16() for _ in range(2))
    out = torch.empty_like(left)
    product_kernel[(1,)](out, left, right, SIZE=16)
    exact = left.double() @ right.double() + left.double()
    assert torch.equal(out, exact.float().bfloat16())
