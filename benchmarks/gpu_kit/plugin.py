"""`SMA_CAPABILITY=90 pytest -p benchmarks.gpu_kit.plugin tests/operators --backend triton`: compiles what those tests would
launch. The tests themselves fail, since nothing runs; they are not to be looked at."""

import os

from benchmarks.gpu_kit.stand_in import compile_only
from tests import cases


def _one_call(case, dtype, backend, device, seeds=1):
    """In place of the error rule, whose seeds and references all take the same kernels."""
    cases.run(case, cases.inputs(case, dtype, 0, device), backend)
    return {}


def pytest_configure(config):
    config.kernels = compile_only(int(os.environ["SMA_CAPABILITY"]))
    cases.error_excess = _one_call


def pytest_unconfigure(config):
    print(config.kernels)
