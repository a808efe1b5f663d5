"""Fixtures of the operator tests."""

import pytest
import torch


@pytest.fixture
def poisoned_memory():
    """Fills every uninitialized tensor, including scratch, with NaN (bytes with 255)."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)
