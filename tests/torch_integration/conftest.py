"""`backend` runs a test on every backend, `fused` on those with operators, `gpu_backend` on those that need a GPU.

Tests that need a GPU are marked `gpu`, except on Triton in tests marked `interpreted`: these run in a process with Triton's
interpreter, started by test_triton_interpreted.py.
"""

import os

import pytest
import torch

COUNTING = "SMA_EVERY_TEST" in os.environ  # for CHECKS.md, which also lists tests of other processes
INTERPRETING = os.environ.get("TRITON_INTERPRET") == "1"


def pytest_generate_tests(metafunc):
    interpreted = metafunc.definition.get_closest_marker("interpreted")
    triton = pytest.param("triton", marks=() if interpreted else pytest.mark.gpu)
    fused = ("cpu", triton, pytest.param("cuda", marks=pytest.mark.gpu))
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", ("reference", *fused))
    if "fused" in metafunc.fixturenames:
        metafunc.parametrize("fused", fused)
    if "gpu_backend" in metafunc.fixturenames:
        metafunc.parametrize("gpu_backend", ("triton", "cuda"))


def pytest_collection_modifyitems(config, items):
    if not (INTERPRETING or torch.cuda.is_available() or COUNTING):
        elsewhere = [item for item in items if runs_on_the_interpreter(item)]
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def runs_on_the_interpreter(item) -> bool:
    return backend_of(item) == "triton" and item.get_closest_marker("interpreted") is not None


def backend_of(item) -> str | None:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("backend", parameters.get("fused"))


@pytest.fixture
def device(request) -> torch.device:
    """The device of the tensors of a test: a GPU if its backend runs there."""
    backend = backend_of(request.node)
    on_gpu = backend == "cuda" or (backend == "triton" and not INTERPRETING)
    return torch.device("cuda" if on_gpu else "cpu")
