"""The tests of this folder run on the emulated GPU."""

import copy

import pytest
import torch

from tests.cuda_emulator import build, emulated


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Tensors this small gain nothing from more, and idle threads take the emulated GPU's processor."""
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
def gpu():
    """The GPU's properties, restored after the test."""
    before = copy.copy(emulated.gpu)
    yield emulated.gpu
    emulated.gpu.__dict__.update(before.__dict__)
