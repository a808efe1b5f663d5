"""Kernels read only their inputs, write only their outputs, and leave no element unwritten."""

from dataclasses import replace

import pytest
import torch

from tests.helpers import cases
from tests.helpers.cases import Case
from tests.triton.interpreter.paths import PATHS, take

BAND = 4096  # elements of NaN before and after


def banded(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(an uninitialized tensor like `tensor`, the poisoned buffer around it)."""
    poison = torch.nan if tensor.is_floating_point() else 255  # as bool: True
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    buffer = torch.full((span + 2 * BAND,), poison, dtype=tensor.dtype)
    return buffer.as_strided(tensor.shape, tensor.stride(), BAND), buffer


def untouched(buffer: torch.Tensor) -> bool:
    bands = torch.cat((buffer[:BAND], buffer[-BAND:]))
    return bool(bands.isnan().all() if buffer.is_floating_point() else (bands == torch.full_like(bands, 255)).all())


@pytest.fixture
def poisoned(monkeypatch):
    """Places every tensor that a launcher allocates, including scratch, in a poisoned buffer; returns the list of these."""
    buffers = []
    new_empty, empty_like = torch.Tensor.new_empty, torch.empty_like

    def in_buffer(tensor):
        inside, buffer = banded(tensor)
        buffers.append(buffer)
        return inside

    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *args, **kwargs: in_buffer(new_empty(*args, **kwargs)))
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: in_buffer(empty_like(*args, **kwargs)))
    return buffers


def check(case, poisoned, dtype=torch.float32):
    plain = cases.inputs(case, dtype)
    inside = {}
    for name, tensor in plain.items():
        inside[name], _ = banded(tensor)
        inside[name].copy_(tensor)
    grads = cases.cotangents(cases.call(case, plain, "reference"), 0)
    poisoned.clear()
    actual = cases.run(case, inside, "triton", grads)
    assert poisoned and all(map(untouched, poisoned))
    for name, tensor in actual.items():
        assert tensor.isfinite().all(), name


@pytest.mark.parametrize("merge", ("max", "none"))
@pytest.mark.parametrize("path", PATHS)
def test_paths(path, merge, monkeypatch, poisoned):
    check(take(path, monkeypatch, merge, False), poisoned)


@pytest.mark.parametrize("path", PATHS)
def test_paths_with_a_mask(path, monkeypatch, poisoned):
    """The last of three samples has no valid position."""
    check(replace(take(path, monkeypatch, "none", True, batch=3), masked=True), poisoned)


@pytest.mark.parametrize("function", cases.FUNCTIONS[1:])
def test_small_functions(function, poisoned):
    check(Case(function=function, batch=2, values=19, merge="mean", activation="sigmoid"), poisoned)


def test_channels_last_float16(poisoned):
    check(Case(batch=2, layout=torch.channels_last), poisoned, torch.float16)
