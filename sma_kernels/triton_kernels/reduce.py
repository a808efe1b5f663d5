"""Parameter gradients: the partial sums of samples or of their chunks, added in one fixed order."""

import triton
import triton.language as tl


@triton.jit
def store_columns(out, sums, column, start, SIZE: tl.constexpr):
    """Stores the sums of columns start .. start+SIZE in out [SIZE], unless it is None."""
    if out is not None:
        tl.store(out + column - start, sums, mask=(column >= start) & (column < start + SIZE))


@triton.jit
def reduce_kernel(
    outputs,  # ParamGrads
    partial,  # float32 [B,NUMEL]
    batch,
    N: tl.constexpr,
    D: tl.constexpr,
    OFFSETS: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program p sums columns p*BLOCK.. of `partial` over the batch."""
    NUMEL: tl.constexpr = OFFSETS.NUMEL
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, BLOCK_B).to(tl.int64)
    acc = tl.zeros([BLOCK_B, BLOCK], tl.float32)
    for b0 in range(0, batch, BLOCK_B):
        inside = (b0 + row < batch)[:, None] & (column < NUMEL)[None, :]
        acc += tl.load(partial + (b0 + row)[:, None] * NUMEL + column[None, :], mask=inside, other=0.0)
    sums = tl.sum(acc, 0)
    store_columns(outputs.weight, sums, column, OFFSETS.WEIGHT, N * D)
    store_columns(outputs.bias, sums, column, OFFSETS.BIAS, N)
    store_columns(outputs.relation_bias, sums, column, OFFSETS.RELATION_BIAS, N * N)
    store_columns(outputs.temperature, sums, column, OFFSETS.TEMPERATURE, 1)
    store_columns(outputs.gate, sums, column, OFFSETS.GATE, 1)
