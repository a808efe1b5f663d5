"""Variants of the Triton tile sizes, without a GPU: each changes the launch that it names."""

import pytest
import torch

pytest.importorskip("triton")

from benchmarks.shapes import GPU_SHAPES, SHAPES
from benchmarks.triton_tiles import changed, variants
from tools.triton.recorder import attention_head, backward_launches, forward_launches

LAUNCHED = {
    "maps forward": ("forward_kernel", forward_launches),
    "pool": ("pool_kernel", forward_launches),
    "values backward": ("value_gradients_kernel", backward_launches),
    "maps backward": ("backward_kernel", backward_launches),
    "blocks": ("blocked_maps_backward_kernel", backward_launches),
}


@pytest.mark.parametrize("shape", GPU_SHAPES)
def test_every_variant_changes_the_kernel_that_it_names(shape):
    head = attention_head(SHAPES[shape], torch.bfloat16, "max", False)
    names = set()
    for kernel, sizes in variants(shape):
        name, launches = LAUNCHED[kernel]
        with changed(kernel, sizes):
            (launch, *_) = (launch for launch in launches(head) if launch.kernel.__name__ == name)
        arguments = {**launch.sizes(), "warps": launch.options["num_warps"], "stages": launch.options["num_stages"]}
        assert {size: arguments[size] for size in sizes} == sizes
        names.add(name)
    assert names == {
        launch.kernel.__name__
        for launch in forward_launches(head) + backward_launches(head)
        if launch.kernel.__name__ in {name for name, _ in LAUNCHED.values()}
    }
