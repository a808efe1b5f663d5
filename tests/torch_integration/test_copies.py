"""Copies, pickles, state dicts and safetensors of the module and of its output."""

import copy
import io
import pickle

import pytest
import safetensors.torch
import torch
from torch.testing import assert_close

from sma_kernels import SMAAttention, SMAOutput
from tests.helpers.small_network import small_network

pytestmark = pytest.mark.mode("deepcopy, pickle, state_dict, safetensors")


def through_state_dict(module):
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return with_state(module, torch.load(file, weights_only=True))


def through_safetensors(module):
    return with_state(module, safetensors.torch.load(safetensors.torch.save(module.state_dict())))


def with_state(module, state):
    """A module with the same settings, whose weights are replaced by `state`."""
    other = copy.deepcopy(module)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    other.load_state_dict(state)
    return other


WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "state_dict": through_state_dict,
    "safetensors": through_safetensors,
}


@pytest.mark.parametrize("way", WAYS)
def test_module_comes_back_and_shares_nothing(way, backend, device):
    head = SMAAttention(8, regions=3, channels=2, embed_dim=4, merge="none", backend=backend).to(device).eval()
    x = torch.randn(2, 8, 5, 6, device=device)
    other = WAYS[way](head)
    assert_close(tuple(other(x)), tuple(head(x)), rtol=0, atol=0)
    with torch.no_grad():
        head.weight.zero_()
    assert other.weight.any()


@pytest.mark.parametrize("way", WAYS)
def test_network_comes_back(way):
    network = small_network().eval()
    x = torch.rand(2, 3, 32, 32)
    assert_close(WAYS[way](network)(x).logits, network(x).logits, rtol=0, atol=0)


def test_output_comes_back_by_name():
    head = SMAAttention(8, regions=3, channels=2, embed_dim=4)
    out = SMAOutput(*(part.detach() for part in head(torch.randn(2, 8, 5, 6))))
    for actual in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out)):
        assert type(actual) is SMAOutput
        assert_close(actual.correlation, out.correlation, rtol=0, atol=0)
