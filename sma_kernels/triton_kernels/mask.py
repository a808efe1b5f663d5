"""The mask of valid positions of one sample: a pointer to bool [L], or None if every position is valid."""

import triton
import triton.language as tl

BLOCK = tl.constexpr(1024)  # positions looked at in one step


@triton.jit
def valid_positions(mask, pos, L):
    """Which of the positions are inside the sample and valid."""
    if mask is None:
        return pos < L
    else:
        return tl.load(mask + pos, mask=pos < L, other=0) != 0


@triton.jit
def valid_only(tile, mask, pos, L):
    """The tile with zeros at positions that the mask excludes, whatever it holds there; `pos` broadcasts to its shape. A
    masked load would be narrower where positions are adjacent."""
    if mask is None:
        return tile
    else:
        return tl.where(valid_positions(mask, pos, L), tile, 0.0)


@triton.jit
def count_valid(mask, first, end):
    """The number of valid positions from `first` on and before `end`."""
    valid = tl.zeros([BLOCK], tl.int32)
    for l0 in range(first, end, BLOCK):
        valid += valid_positions(mask, l0 + tl.arange(0, BLOCK), end).to(tl.int32)
    return tl.sum(valid, 0)


@triton.jit
def inverse_row_sums(row_sum, is_map, mask, L):
    """1 / row_sum, or 0 for rows without a map, and for all rows without a valid position. With one, a sum of 0 comes from
    logits of -inf, and makes the maps NaN."""
    inverse = tl.where(is_map, 1.0 / row_sum, 0.0)
    if mask is None:
        return inverse
    else:
        return tl.where(count_valid(mask, 0, L) > 0, inverse, 0.0)
