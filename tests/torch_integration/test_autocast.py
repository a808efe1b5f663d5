"""Mixed precision: which tensors are cast, and training that ends near the loss of float32."""

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sma_kernels import SMAAttention
from tests.helpers import cases
from tests.helpers.cases import Case

STEPS = 200
# Tolerance for the mean loss of the last 20 steps against float32, relative to the improvement of float32; over five seeds
# the difference was at most 0.007.
BOUND = 0.02


def train(dtype, backend, device, seed):
    """Mean losses of the first and the last 20 of STEPS steps of a small head under autocast to `dtype`."""
    torch.manual_seed(seed)
    head = SMAAttention(12, regions=3, channels=2, embed_dim=6, backend=backend).to(device)
    units = nn.Linear(12, 1).to(device)
    parameters = [*head.parameters(), *units.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.01)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    draw = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(STEPS):
        x, y = batch(draw)
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            out = head(x.to(device))
            logits = units(out.pooled).squeeze(-1)
        loss = binary_cross_entropy_with_logits(logits.float(), y.to(device)) + 0.1 * out.diversity.mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert all(parameter.dtype == parameter.grad.dtype == torch.float32 for parameter in parameters)
    return sum(losses[:20]) / 20, sum(losses[-20:]) / 20


def batch(draw):
    """x [16,12,6,6] of noise; where label r is 1, channels 4r to 4r+3 are raised at one position."""
    x = torch.randn(16, 12, 6, 6, generator=draw)
    y = torch.randint(0, 2, (16, 3), generator=draw).float()
    patch = torch.randint(0, 6, (16, 3, 2), generator=draw)
    for sample, region in y.nonzero().tolist():
        row, column = patch[sample, region].tolist()
        x[sample, 4 * region : 4 * region + 4, row, column] += 4
    return x, y


@pytest.mark.mode("autocast training, with GradScaler for float16")
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
def test_training_ends_where_float32_ends(dtype, backend, device):
    start, expected = train(torch.float32, backend, device, seed=0)
    assert expected < 0.8 * start  # it has learned: otherwise any two runs agree
    _, final = train(dtype, backend, device, seed=0)
    assert abs(final - expected) <= BOUND * (start - expected)


@pytest.mark.interpreted
@pytest.mark.mode("autocast casts")
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_maps_are_cast_and_parameters_are_not(function, dtype, backend, device):
    """Under autocast, a function equals itself on inputs cast by hand: parameters are not rounded."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    cast = {n: t.to(dtype) if n in ("values", "features", "maps") else t for n, t in tensors.items()}
    with torch.autocast(device.type, dtype):
        actual = cases.call(case, tensors, backend)
    for ours, theirs in zip(actual, cases.call(case, cast, backend), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


@pytest.mark.mode("autocast casts")
def test_float64_is_left_alone(device):
    case = Case()
    tensors = cases.inputs(case, torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(part.dtype == torch.float64 for part in cases.call(case, tensors, "cpu"))
