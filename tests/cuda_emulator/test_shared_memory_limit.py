"""The shared-memory limit that the host raises before a launch: concurrent threads, without a GPU."""

import subprocess

import pytest

from tests.cuda_emulator import build


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if build.why_not():
        pytest.skip(build.why_not())
    executable = tmp_path_factory.mktemp("limit") / "shared_memory_limit"
    command = ["g++", *build.FLAGS, "-pthread", build.HERE / "shared_memory_limit.cpp", "-o", executable]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr[-6000:]
    return executable


@pytest.mark.parametrize(
    "check",
    (
        "threads_with_different_sizes",
        "calls_only_to_grow",
        "launches_within_the_limit_do_not_wait",
        "failure_is_reported_and_retried",
        "kernels_and_devices_are_apart",
        "devices_beyond_the_table_are_refused",
    ),
)
def test_the_limit_of_shared_memory(program, check):
    done = subprocess.run([program, check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
