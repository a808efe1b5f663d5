"""`python -m benchmarks.gpu_report --out DIR`: builds, tests, checks and times the kernels on the card of this machine.

Needs torch, nvcc and Triton, and no network. Stages run in the order of their importance and each is caught: what fails, or
what the machine refuses, stands in the report, and the others go on. DIR receives report.json, report.md, speed.png and
log.txt, written anew after every stage, so that a run which is cut off leaves what it had.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import gpu
from benchmarks.machine import ROOT, machine
from benchmarks.plots import bars
from benchmarks.report_text import markdown

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
# What is timed, the most telling first: S3 and S5 are bound by bytes, S1 by launches.
TIMED = [
    *((shape, "bfloat16", "nchw") for shape in ("S3", "S1", "S5", "S2", "S4")),
    *((shape, "float32", "nchw") for shape in ("S3", "S1")),
    *((shape, "bfloat16", "nhwc") for shape in ("S3", "S1", "S4")),
]
SMALL_CASES = "sma_attention and error_rule and float32"


class Report:
    """What is known so far, on disk after every stage."""

    def __init__(self, folder: Path, device: torch.device, budget: float):
        self.folder, self.device, self.ends = folder, device, time.monotonic() + budget
        self.found: dict = {"machine": machine(device), "stages": {}, "rows": []}
        folder.mkdir(parents=True, exist_ok=True)
        self.log = (folder / "log.txt").open("w")

    def left(self) -> float:
        return self.ends - time.monotonic()

    def write(self) -> None:
        (self.folder / "report.json").write_text(json.dumps(self.found, indent=1) + "\n")
        (self.folder / "report.md").write_text(markdown(self.found))
        if self.found["rows"] and "copy_bytes_per_second" in self.found:
            bars(self.found, self.folder / "speed.png")

    def command(self, *arguments: str | Path, limit: float = 300) -> str:
        """Runs a command for `limit` seconds at most; its last line, or an error with its last lines."""
        self.log.write(f"\n$ {' '.join(map(str, arguments))}\n")
        self.log.flush()
        done = subprocess.run(
            arguments,
            cwd=ROOT,
            timeout=max(1, min(limit, self.left())),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.log.write(done.stdout)
        self.log.flush()
        lines = done.stdout.strip().splitlines() or [""]
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}: " + "\n".join(lines[-15:]))
        return lines[-1]


def build(report: Report) -> str:
    """Compiles the extension in place, for this card alone."""
    if report.device.type == "cpu":
        return "not built: this is a trial on a CPU"
    report.command(sys.executable, "setup.py", "-q", "build_ext", "--inplace")
    return report.command(sys.executable, "-m", "sma_kernels.info", "--require", "cuda")


def _tests(report: Report, *arguments: str) -> str:
    return report.command(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, limit=100)


def tests(report: Report) -> dict[str, str]:
    """The operator tests on every backend of the card, then all tests marked `gpu`."""
    if report.device.type == "cpu":
        return {"cpu": _tests(report, "tests/operators/test_accuracy.py", "-k", "error_rule and shared and nchw")}
    found = {}
    for backend in ("cuda", "triton"):
        try:
            found[backend] = _tests(
                report, "tests/operators", "--backend", backend, "--device", "cuda", "-k", "not cpu"
            )
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found[backend] = f"failed: {error}"
    found["marked gpu"] = _tests(report, "tests", "-m", "gpu and not slow")
    return found


def bandwidth(report: Report) -> dict[str, float]:
    found = gpu.bandwidth(report.device)
    report.found |= found
    return found


def speed(report: Report) -> str:
    """Times shape after shape, while the budget lasts."""
    done = []
    for shape, dtype, layout in TIMED:
        if report.left() < 30 and done:
            break
        started = time.monotonic()
        try:
            report.found["rows"] += gpu.speed(shape, getattr(torch, dtype), LAYOUTS[layout], report.device)
        except Exception as error:
            report.log.write(traceback.format_exc())
            report.found["rows"].append(
                {"function": "", "shape": shape, "direction": "", "errors": {"all": f"{type(error).__name__}: {error}"}}
            )
        done.append(f"{shape} {dtype} {layout} ({time.monotonic() - started:.0f} s)")
        report.write()
        if report.device.type == "cuda":
            torch.cuda.empty_cache()
    return ", ".join(done)


def launches(report: Report) -> dict[str, dict[str, int]]:
    return {shape: gpu.launches(shape, report.device) for shape in ("S1", "S5")}


def choice(report: Report) -> dict[str, str]:
    """What `auto` should prefer, by the captured training steps."""
    return gpu.preferences(report.found["rows"])


def sanitizers(report: Report) -> dict[str, str]:
    """compute-sanitizer's tools over the small cases of the CUDA kernels."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if report.device.type == "cpu" or not Path(tool).exists():
        return {"compute-sanitizer": "not here"}
    tests = (sys.executable, "-m", "pytest", "-q", "-x", "tests/operators/test_accuracy.py", "-k", SMALL_CASES)
    found = {}
    for name in ("memcheck", "racecheck", "initcheck"):
        try:
            found[name] = report.command(
                tool, "--tool", name, "--error-exitcode", "9", *tests, "--backend", "cuda", "--device", "cuda"
            )
        except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
            found[name] = f"failed or refused: {str(error)[-1500:]}"
    return found


STAGES: dict[str, Callable[[Report], object]] = {
    stage.__name__: stage for stage in (build, bandwidth, tests, speed, choice, launches, sanitizers)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES), help="stages to run (default: all)")
    parser.add_argument("--budget", type=float, default=520, help="seconds after which no stage begins (default 520)")
    parser.add_argument("--dry-run", action="store_true", help="try the report out on the CPU, at small sizes")
    chosen = parser.parse_args()
    if not chosen.dry_run and not torch.cuda.is_available():
        raise SystemExit("torch finds no CUDA card here; --dry-run tries the report out on the CPU")
    report = Report(chosen.out, torch.device("cpu" if chosen.dry_run else "cuda"), chosen.budget)
    for name in chosen.stage:
        started = time.monotonic()
        if report.left() <= 0:
            report.found["stages"][name] = {"result": "not run: the budget was spent", "seconds": 0}
            continue
        print(f"{name} ...", flush=True)
        try:
            result: object = STAGES[name](report)
        except Exception as error:  # one stage's failure is that stage's result
            report.log.write(traceback.format_exc())
            result = f"failed: {type(error).__name__}: {str(error)[-2000:]}"
        report.found["stages"][name] = {"result": result, "seconds": round(time.monotonic() - started, 1)}
        report.write()
    report.write()
    print((chosen.out / "report.md").read_text())


if __name__ == "__main__":
    main()
