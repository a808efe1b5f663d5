"""How the launchers see the memory of a feature map, without a GPU."""

import itertools

import pytest
import torch

pytest.importorskip("triton")

from sma_kernels.triton_kernels.call import feature_map, is_dense

SIZES = list(itertools.product((1, 3), (1, 2, 8), (1, 2, 4), (1, 3)))
VIEWS = {
    "nchw": lambda tensor: tensor,
    "channels_last": lambda tensor: tensor.contiguous(memory_format=torch.channels_last),
    "transposed": lambda tensor: tensor.transpose(2, 3),
    "every other channel": lambda tensor: tensor.repeat_interleave(2, 1)[:, ::2],
    "every other sample": lambda tensor: tensor.repeat_interleave(2, 0)[::2],
    "part of the channels": lambda tensor: torch.cat((tensor, tensor), 1)[:, : tensor.shape[1]],
    "part of the rows": lambda tensor: torch.cat((tensor, tensor), 2)[:, :, : tensor.shape[2]],
    "odd stride of the samples": lambda tensor: torch.cat((tensor.flatten(1), tensor[:, 0, :1, 0]), 1)[:, :-1].view(
        tensor.shape
    ),
    "expanded": lambda tensor: tensor[:, :1].expand_as(tensor),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_a_feature_map_holds_every_element_where_the_kernels_read_it(view, size):
    tensor = VIEWS[view](torch.arange(float(torch.Size(size).numel())).reshape(size))
    sample = tensor[0]
    assert is_dense(tensor) == (sample.is_contiguous() or sample.permute(1, 2, 0).is_contiguous())
    seen = feature_map(tensor)
    assert (seen.tensor is tensor) == is_dense(tensor)
    batch, channels, positions = tensor.shape[0], tensor.shape[1], tensor.shape[2] * tensor.shape[3]
    assert seen.last == (positions == 1 or not seen.tensor[0].is_contiguous())
    rows = (positions, channels) if seen.last else (channels, positions)
    assert seen.row_stride == rows[1]
    read = seen.tensor.as_strided((batch, *rows), (seen.batch_stride, seen.row_stride, 1))
    assert torch.equal(read.transpose(1, 2) if seen.last else read, tensor.flatten(2))
    assert batch > 1 or seen.batch_stride == channels * positions  # the stride of an axis of size 1 is arbitrary
    assert seen.batch_stride % seen.vec == 0 and seen.row_stride % seen.vec == 0 and seen.vec <= 4
