"""Inter-attention correlation S = softmax_j(cos / temperature + relation bias) and its backward."""

import triton
import triton.language as tl


@triton.jit
def load_scalar(scalar):
    """The element of the 0-d tensor if the caller passed one, else the float."""
    if scalar.tensor is not None:
        return tl.load(scalar.tensor).to(tl.float32)
    else:
        return scalar.value


@triton.jit
def correlation(cos, temperature, relation_bias, n, valid, N: tl.constexpr):
    """S of one sample in the row order of its tiles; relation_bias [N,N] or None. Padding holds 0."""
    inside = valid[:, None] & valid[None, :]
    scores = cos / temperature
    if relation_bias is not None:
        scores += tl.load(relation_bias + n[:, None] * N + n[None, :], mask=inside, other=0.0).to(tl.float32)
    scores = tl.where(inside, scores, float("-inf"))
    e = tl.where(inside, tl.exp(scores - tl.max(scores, 1)[:, None]), 0.0)
    return tl.where(inside, e / tl.sum(e, 1)[:, None], 0.0)


@triton.jit
def correlation_backward(s, ds):
    """Gradient of the scores of a row-wise softmax."""
    return s * (ds - tl.sum(ds * s, 1)[:, None])


@triton.jit
def refine(m, s, gate, PRECISION: tl.constexpr):
    """m' = m + gate * (S m - m)."""
    return m + gate * (tl.dot(s, m, input_precision=PRECISION) - m)
