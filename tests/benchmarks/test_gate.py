"""The gate ignores noise and stops a slower kernel; the kernels execute as many instructions as committed."""

import json

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import gate, instructions
from benchmarks.baselines import with_backend
from benchmarks.gate import Ratios, regression


@pytest.mark.parametrize(
    "committed, measured, fails",
    [
        (Ratios(0.50, 0.02), Ratios(0.50, 0.02), False),
        (Ratios(0.50, 0.02), Ratios(0.54, 0.02), False),  # less than 10 %
        (Ratios(0.50, 0.02), Ratios(0.56, 0.02), True),
        (Ratios(0.50, 0.10), Ratios(0.58, 0.02), False),  # within the spread of the committed repeats
        (Ratios(0.50, 0.02), Ratios(0.58, 0.10), False),
        (Ratios(0.50, 0.10), Ratios(0.61, 0.05), True),
        (Ratios(0.50, 0.02), Ratios(0.30, 0.02), False),
    ],
)
def test_a_regression_is_more_than_the_spread_and_more_than_a_tenth(committed, measured, fails):
    assert bool(regression(committed, measured)) == fails


class Work(TorchDispatchMode):
    """Counts executed operators: a clock that other programs cannot disturb."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def work(runs, rounds, device):
    counts = {}
    for name, timed in runs.items():
        with Work() as done:
            timed()
        counts[name] = [float(done.count)] * rounds
    return counts


def test_a_slowed_kernel_is_stopped(monkeypatch):
    """A kernel run four times instead of once fails, by a clock of work; the unchanged kernel passes."""
    monkeypatch.setattr(gate, "interleaved", work)
    once = with_backend("sma_attention", "cpu")

    def slowed(tensors):
        for _ in range(3):
            once(tensors)
        return once(tensors)

    committed = {"S1 nchw": [gate.ratio("S1", "max", "nchw"), 0.0]}
    assert not gate.judge(committed, {"S1 nchw": Ratios.of([gate.ratio("S1", "max", "nchw", once)] * 3)})
    assert gate.judge(committed, {"S1 nchw": Ratios.of([gate.ratio("S1", "max", "nchw", slowed)] * 3)})


def test_a_row_without_a_committed_ratio_is_named(monkeypatch, capsys, tmp_path):
    table = {"AVX512, 2 threads": {"rows": {"S1 nchw": [0.5, 0.02]}}}
    (tmp_path / "gate.json").write_text(json.dumps(table))
    monkeypatch.setattr(gate, "TABLE", tmp_path / "gate.json")
    monkeypatch.setattr(gate, "hardware_class", lambda: "AVX512, 2 threads")
    monkeypatch.setattr(gate, "measure", lambda: {"S1 nchw": Ratios(0.5, 0.02), "S6 nchw": Ratios(0.5, 0.02)})
    monkeypatch.setattr("sys.argv", ["gate"])
    gate.main()
    assert "not judged: S6 nchw: no ratio is committed" in capsys.readouterr().out


def test_the_kernels_execute_what_is_committed():
    if instructions.unavailable():
        pytest.skip(instructions.unavailable())
    committed = json.loads(instructions.TABLE.read_text())
    if committed["compiler"] != instructions.compiler():
        pytest.skip(f"counted with {committed['compiler']}, here is {instructions.compiler()}")
    program = instructions.build()
    for name in ("S1 nchw forward", "S1 nchw backward", "S1 nhwc backward"):
        count = instructions.count(program, *instructions.ROWS[name])
        assert abs(count / committed["counts"][name] - 1) < 0.01, (name, count)


@pytest.mark.parametrize("layout", instructions.LAYOUTS)
@pytest.mark.parametrize("pass_name", instructions.PASSES)
def test_sixteen_threads_share_a_sample(layout, pass_name):
    """At S3, none executes more than an eighth of its instructions."""
    if instructions.unavailable():
        pytest.skip(instructions.unavailable())
    program = instructions.build()
    alone, shared = (instructions.count(program, "S3", "max", layout, pass_name, threads) for threads in (1, 16))
    assert shared < alone / 8
