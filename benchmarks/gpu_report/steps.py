"""The steps of the report, most important first: correctness, speed, profiles, memory safety.

A step is a function of the report and the plan of the machine. It runs commands in separate processes, so that it cannot
hang or crash the others.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.gpu_report.commands import TIME_UP, Command
from benchmarks.gpu_report.measure import TIMED_PASSES, Cell
from benchmarks.gpu_report.report_file import Report
from benchmarks.shapes import SHAPES as STANDARD

PYTHON = sys.executable
SANITIZERS = ("memcheck", "racecheck", "synccheck")
# Memcheck cannot see overruns inside segments of the caching allocator.
WITHOUT_CACHING = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
NCU = (
    *("ncu", "--clock-control", "none", "--profile-from-start", "off"),
    *(part for name in ("LaunchStats", "Occupancy", "SpeedOfLight", "WarpStateStats") for part in ("--section", name)),
    *("--section", "MemoryWorkloadAnalysis"),
)

CLOCKS = ("nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw", "--format=csv")


def cells(
    shapes: Sequence[str], implementations: Sequence[str], dtype="bfloat16", layout="nchw", merge: str | None = None
) -> list[Cell]:
    """Of every shape with its first merge, or of those that have `merge` besides."""
    return [
        Cell(shape, dtype, layout, merge or STANDARD[shape].merges[0], name)
        for shape in shapes
        if merge is None or merge in STANDARD[shape].merges[1:]
        for name in implementations
    ]


class Plan(NamedTuple):
    """The work for one kind of machine."""

    backends: tuple[str, ...]
    cells: tuple[Cell, ...]
    counted: tuple[str, ...] = ()  # shapes whose hardware counters are read
    cpu: bool = False


# Most informative first: S3 and S5 are memory-bound, S1 is launch-bound, S6 and S7 are a single sample.
SHAPES = ("S3", "S6", "S7", "S1", "S4", "S2", "S8", "S5")
WITHOUT_COMPILER = ("cuda", "triton", "eager")
IMPLEMENTATIONS = (*WITHOUT_COMPILER, "torch.compile")
GPU = Plan(
    backends=("cuda", "triton"),
    cells=(
        *cells(SHAPES, IMPLEMENTATIONS),
        *cells(SHAPES, WITHOUT_COMPILER, merge="none"),
        # The cells above take five minutes on an H200, compilation included, estimated from its earlier report.
        *cells(("S3", "S6", "S1", "S4"), IMPLEMENTATIONS, layout="nhwc"),
        *cells(("S3", "S6", "S1"), IMPLEMENTATIONS, dtype="float32"),
        *cells(("S3", "S1"), ("torch.compile",), merge="none"),
        *cells(SHAPES, ("sdpa pooling",)),
        *cells(SHAPES, ("max-autotune",)),  # takes longest to compile
    ),
    counted=("S1", "S3"),
)
# A dry run without a GPU: small shapes, and the compiler once.
TRIAL = Plan(
    backends=("cpu",),
    cells=(
        *cells(("S1",), ("cpu", "eager", "torch.compile")),
        *cells(("S3",), ("cpu", "eager", "sdpa pooling"), dtype="float32", layout="nhwc", merge="none"),
        *cells(("S6",), ("cpu", "eager")),
    ),
    cpu=True,
)


def module(name: str, *arguments: str) -> tuple[str, ...]:
    return (PYTHON, "-m", name, *arguments)


def log_of(backend: str) -> str:
    return "triton.txt" if backend == "triton" else "cuda.txt"


def environment(report: Report, plan: Plan) -> None:
    """Hardware, versions and bandwidth of the machine."""
    command = module("benchmarks.gpu_report.gpu_environment", *(["--cpu"] if plan.cpu else []))
    report.run("environment", Command("environment", command, "checks.txt", 60))


def extension(report: Report, plan: Plan) -> None:
    """The compiled module, built here unless there is one for this torch, Python and GPU."""
    info = module("sma_kernels.info", "--require", plan.backends[0])
    if not report.run("extension", Command("prebuilt", info, "checks.txt", 60)).ok:
        build = (PYTHON, "setup.py", "-q", "build_ext", "--inplace")
        report.run("extension", Command("build", build, "checks.txt", 900))
        report.run("extension", Command("built", info, "checks.txt", 60))


def smoke(report: Report, plan: Plan) -> None:
    """Every kernel once against float64. After a crash, memcheck locates the fault."""
    commands = [
        Command(backend, module("benchmarks.gpu_report.smoke", backend), log_of(backend), 120)
        for backend in plan.backends
    ]
    for outcome in report.run_together("smoke", commands):
        if outcome.killed or outcome.status == "exit status 2":
            sanitize(report, "smoke", "memcheck", outcome.label)


def tests(report: Report, plan: Plan) -> None:
    """The operator tests of all backends, concurrently."""
    fitting = processes_that_fit(report, most=16, gib=1.5)
    workers = {"cuda": fitting // 3, "triton": fitting - fitting // 3}  # Triton compiles as it goes
    commands = []
    for backend in plan.backends:
        device = "cpu" if plan.cpu else "cuda"
        command = pytest(workers.get(backend, 1), "tests/operators", "--backend", backend, "--device", device)
        if plan.cpu:
            command += ("-k", "sum_sends")  # a dry run need not repeat the test suite
        commands.append(Command(backend, command, log_of(backend), 600))
    report.run_together("tests", commands)


def processes_that_fit(report: Report, most: int, gib: float) -> int:
    """Number of processes: one per CPU core, if each needs `gib` of GPU memory; a CUDA context alone takes 0.5."""
    memory = report.results["environment"].get("memory_gib", most * gib)
    return max(1, min(most, os.cpu_count() or 2, int(memory / gib)))


def pytest(workers: int, *arguments: str) -> tuple[str, ...]:
    """A pytest command that omits options of missing plugins, and continues after modules that fail to import."""
    # Verbose: a stopped run has already listed its failures.
    options = ["-v", "--tb=short", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    if importlib.util.find_spec("xdist"):
        options += ["-n", str(max(1, workers))]
    if importlib.util.find_spec("pytest_timeout"):
        options += ["--timeout", "120"]
    return module("pytest", *options, *arguments)


def compile_baselines(report: Report, plan: Plan) -> None:
    """Fills the compiler caches for the first cells of `torch.compile`, concurrently; the others compile when timed."""
    compiled = [cell for cell in plan.cells if cell.implementation == "torch.compile"]
    at_once = processes_that_fit(report, most=(os.cpu_count() or 2) // 2, gib=8)
    commands = [measurement(plan, cell, 90, "--compile-only") for cell in compiled[:at_once]]
    report.run_together("compile_baselines", commands)


def times(report: Report, plan: Plan) -> None:
    """Microseconds of every implementation, called eagerly and captured in a CUDA graph, and of every kernel."""
    limits = {"max-autotune": 300.0, "torch.compile": 120.0}
    commands = [measurement(plan, cell, limits.get(cell.implementation, 60), "--wait") for cell in plan.cells]
    report.run_in_turn("times", commands)
    if not plan.cpu:
        report.run("times", Command("clocks afterwards", CLOCKS, "times.txt", 20))
    outcomes = report.step("times")["commands"]
    for cell in plan.cells:
        status = outcomes.get(cell.label, {}).get("status", "ok")
        if status not in ("ok", TIME_UP):  # the process may have crashed before it printed anything
            for pass_name in TIMED_PASSES:
                report.add_row({**cell._asdict(), "pass": pass_name, "errors": {"process": status}})


def measurement(plan: Plan, cell: Cell, limit: float, *options: str) -> Command:
    command = module("benchmarks.gpu_report.measure", *cell, *(["--cpu"] if plan.cpu else []), *options)
    return Command(cell.label, command, "times.txt", limit)


def counters(report: Report, plan: Plan) -> None:
    """Hardware counters of a training step by Nsight Compute, in times.txt."""
    if not plan.counted or not shutil.which("ncu"):
        return report.note("counters", "Nsight Compute (ncu) is not on this machine")
    for backend in plan.backends:
        command = (*NCU, *module("benchmarks.gpu_report.one_step", backend, *plan.counted))
        report.run("counters", Command(backend, command, "times.txt", 60))


def sanitizers(report: Report, plan: Plan) -> None:
    """The tools of compute-sanitizer on the smoke cases."""
    for tool in SANITIZERS:
        sanitize(report, "sanitizers", tool, plan.backends[0])


def sanitize(report: Report, step: str, tool: str, backend: str) -> None:
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if not sanitizer or backend == "cpu":
        return report.note(step, "compute-sanitizer is not on this machine")
    options = ("--tool", tool, "--print-limit", "20", "--error-exitcode", "9")
    command = (sanitizer, *options, *module("benchmarks.gpu_report.smoke", backend, "--few"))
    report.run(step, Command(f"{tool} {backend}", command, "checks.txt", 60, WITHOUT_CACHING))


def gpu_tests(report: Report, plan: Plan) -> None:
    """The tests that need a GPU: CUDA graphs, streams, autocast, torch.compile, the PTX instructions lane by lane."""
    folders = ("tests/torch_integration", "tests/triton", "tests/cuda_emulator")
    workers = processes_that_fit(report, most=8, gib=1.5)
    command = pytest(workers, "-m", "gpu and not slow", *folders)
    report.run("gpu_tests", Command("marked gpu", command, "checks.txt", 600))


Step = Callable[[Report, Plan], None]
STEPS: dict[str, Step] = {
    step.__name__: step
    for step in (
        *(environment, extension, smoke, tests, compile_baselines, times),
        *(counters, sanitizers, gpu_tests),
    )
}
