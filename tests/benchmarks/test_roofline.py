"""The lower bounds: no implementation may need fewer bytes or operations."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.baselines import with_backend
from benchmarks.compare import CPU
from benchmarks.passes import forward_backward
from benchmarks.shapes import CPU_SHAPES, SHAPES, inputs, lower_bound_operations, merge_rows


@pytest.mark.parametrize("name, merge", merge_rows(CPU_SHAPES))
def test_eager_pytorch_does_no_fewer_operations_than_the_lower_bound(name, merge):
    shape = SHAPES[name]._replace(batch=2)
    run = forward_backward(
        with_backend("sma_attention", "reference", merge=merge),
        inputs(shape, torch.float32, torch.contiguous_format, CPU),
    )
    with FlopCounterMode(display=False) as counter:
        run()
    lower_bound = lower_bound_operations(shape, merge)
    # The reference computes whole Gram matrices, and two separate products for their gradient.
    assert lower_bound <= counter.get_total_flops() < 1.5 * lower_bound
