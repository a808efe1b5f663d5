"""Parameter gradients: the samples' shares, added in one fixed order."""

import triton
import triton.language as tl


@triton.jit
def store_share(out, share, column, start, SIZE: tl.constexpr):
    """The part of `share` that lies in columns start .. start+SIZE goes to out [SIZE]; None takes nothing."""
    if out is not None:
        tl.store(out + column - start, share, mask=(column >= start) & (column < start + SIZE))


@triton.jit
def reduce_kernel(
    grad_weight,  # [N*D] or None
    grad_bias,  # [N] or None
    grad_relation,  # [N*N] or None
    grad_temperature,  # [1] or None
    grad_gate,  # [1] or None
    partial,  # float32 [B,TOTAL]
    batch,
    N: tl.constexpr,
    D: tl.constexpr,
    AT_WEIGHT: tl.constexpr,
    AT_BIAS: tl.constexpr,
    AT_RELATION: tl.constexpr,
    AT_TEMPERATURE: tl.constexpr,
    AT_GATE: tl.constexpr,
    TOTAL: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program p sums columns p*BLOCK.. of `partial` over the batch."""
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, BLOCK_B).to(tl.int64)
    acc = tl.zeros([BLOCK_B, BLOCK], tl.float32)
    for b0 in range(0, batch, BLOCK_B):
        inside = (b0 + row < batch)[:, None] & (column < TOTAL)[None, :]
        acc += tl.load(partial + (b0 + row)[:, None] * TOTAL + column[None, :], mask=inside, other=0.0)
    share = tl.sum(acc, 0)
    store_share(grad_weight, share, column, AT_WEIGHT, N * D)
    store_share(grad_bias, share, column, AT_BIAS, N)
    store_share(grad_relation, share, column, AT_RELATION, N * N)
    store_share(grad_temperature, share, column, AT_TEMPERATURE, 1)
    store_share(grad_gate, share, column, AT_GATE, 1)
