"""Selects the backend of the operator tests, as in `pytest tests/operators --backend triton`."""

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--backend", default="cpu", help="backend under test: cpu, triton or cuda")
    parser.addoption("--device", default="cpu", help="device of the tensors under test")


def pytest_collection_modifyitems(items):
    without_gpu = pytest.mark.skip(reason="needs a CUDA GPU")
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(without_gpu)


@pytest.fixture(scope="session")
def backend(pytestconfig) -> str:
    return pytestconfig.getoption("backend")


@pytest.fixture(scope="session")
def device(pytestconfig) -> torch.device:
    return torch.device(pytestconfig.getoption("device"))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
