"""The tests of this folder run on the emulated GPU."""

import copy

import pytest
import torch

from tests.cuda_emulator import build, emulated


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """More threads do not help with such small tensors, and idle ones would take CPU time from the emulated GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def backend():
    if build.why_not():
        pytest.skip(build.why_not())
    with emulated.registered() as name:
        yield name


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def emulated_gpu():
    """The GPU's properties, restored after the test."""
    before = copy.copy(emulated.gpu)
    yield emulated.gpu
    emulated.gpu.__dict__.update(before.__dict__)
