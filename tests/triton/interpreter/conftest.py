"""These tests run kernels on the CPU, in a separate process: TRITON_INTERPRET=1 pytest tests/triton/interpreter."""

import os
import warnings

import pytest
import torch

from tests.triton.interpreter.hardware_arithmetic import hardware_arithmetic

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def pytest_collection_modifyitems(items):
    if not INTERPRETED:
        for item in items:
            if "tests/triton/interpreter" in str(item.path).replace(os.sep, "/"):
                item.add_marker(pytest.mark.skip(reason="needs a process with TRITON_INTERPRET=1"))


@pytest.fixture(autouse=True)
def quiet_numpy():
    """The interpreter also computes padding that is masked afterwards, where 0 / 0 is expected."""
    torch.set_num_threads(1)  # more do not help with such small tensors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.fixture(autouse=True)
def forgotten_plans():
    """Plans are remembered by sizes alone, while a test may lower the limits that they follow from."""
    from sma_kernels.triton_kernels import plan
    from sma_kernels.triton_kernels.blocked import plan as blocked_plan

    for function in (*vars(plan).values(), *vars(blocked_plan).values()):
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def as_hardware():
    with hardware_arithmetic():
        yield
