"""Attention heads of other publications, written from their formulas, equal calls of the operators."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from sma_kernels import attention_diversity, attention_pool, multi_channel_attention, sma_attention

BAGS, WIDTH, HIDDEN = 2, 24, 16
LENGTHS = (37, 20)


@pytest.fixture
def bags(device):
    """Instances h [B,C,1,L] padded with NaN, and their mask [B,1,L]."""
    instances = torch.randn(BAGS, WIDTH, 1, max(LENGTHS), device=device)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None])[:, None].to(device)
    return instances.masked_fill(~mask[:, None], torch.nan), mask


@pytest.fixture
def gated(device):
    """tanh(V h) * sigmoid(U h), the hidden features of gated attention, of instances [B,C,1,L] or [L,C]."""
    tanh, sigmoid = nn.Linear(WIDTH, HIDDEN).to(device), nn.Linear(WIDTH, HIDDEN).to(device)

    def hidden(instances):
        last = instances.movedim(1, -1) if instances.dim() == 4 else instances
        product = tanh(last).tanh() * sigmoid(last).sigmoid()
        return product.movedim(-1, 1) if instances.dim() == 4 else product

    return hidden


def each_bag(bags):
    instances, _ = bags
    return [instances[index, :, 0, :length].T for index, length in enumerate(LENGTHS)]


def test_gated_attention_pooling(bags, gated, backend):
    """Ilse, Tomczak and Welling, ICML 2018, equations 7 and 9."""
    instances, mask = bags
    w = torch.randn(HIDDEN, device=instances.device)
    maps = multi_channel_attention(gated(instances), w[None, None], mask=mask, backend=backend)
    pooled, _ = attention_pool(instances.nan_to_num(), maps, merge="none", backend=backend)
    for bag, actual in zip(each_bag(bags), pooled[:, 0, 0], strict=True):
        attention = (gated(bag) @ w).softmax(0)
        torch.testing.assert_close(actual, attention @ bag, rtol=1e-4, atol=1e-5)


def test_attention_challenging_multiple_instance_learning(bags, gated, backend):
    """ACMIL (ECCV 2024): M attention branches, their mean cosine as the diversity loss, and the mean of their maps."""
    instances, mask = bags
    w = torch.randn(1, 5, HIDDEN, device=instances.device)
    out = sma_attention(instances, gated(instances), w, mask=mask, gate=0.0, merge="mean", margin=0.0, backend=backend)
    of_maps = attention_diversity(out.maps, margin=0.0, backend=backend)
    torch.testing.assert_close(of_maps, out.diversity, rtol=1e-4, atol=1e-5)
    for index, bag in enumerate(each_bag(bags)):
        branches = (gated(bag) @ w[0].T).softmax(0).T
        pairs = [(i, j) for i in range(5) for j in range(i)]
        loss = sum(cosine_similarity(branches[i], branches[j], dim=0) for i, j in pairs) / len(pairs)
        torch.testing.assert_close(out.diversity[index], loss, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(out.pooled[index, 0], branches.mean(0) @ bag, rtol=1e-4, atol=1e-5)


def test_attentive_probing_with_several_queries(device, backend):
    """Efficient Probing (ICLR 2026): every query attends to the tokens and pools its own slice of the projected values."""
    queries, tokens = 4, torch.randn(BAGS, WIDTH, 6, 6, device=device)
    u, project = torch.randn(queries, WIDTH, device=device), nn.Linear(WIDTH, WIDTH, bias=False).to(device)
    values = project(tokens.movedim(1, -1)).movedim(-1, 1)
    maps = multi_channel_attention(tokens, u[None] * WIDTH**-0.5, backend=backend)
    pooled, _ = attention_pool(values, maps, merge="none", backend=backend)  # [B,1,Q,C]
    own_slices = pooled[:, 0].unflatten(-1, (queries, -1)).diagonal(dim1=1, dim2=2).mT.flatten(1)
    x = tokens.flatten(2).mT
    attention = (x @ u.T * WIDTH**-0.5).softmax(1)
    sliced = project(x).unflatten(-1, (queries, -1))
    expected = torch.einsum("blq,blqc->bqc", attention, sliced).flatten(1)
    torch.testing.assert_close(own_slices, expected, rtol=1e-4, atol=1e-5)
