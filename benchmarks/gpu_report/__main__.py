"""`python -m benchmarks.gpu_report --out DIR`: tests, times and checks the kernels on the GPU of this machine.

Needs torch, Triton and pytest, nvcc where the extension is not built yet, and no network. DIR receives report.md, report.json,
speed.png and four logs, and is complete at any moment: whatever fails, hangs or is not on this machine stands in the report,
and the rest goes on.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from benchmarks.gpu_report import kernel_cache
from benchmarks.gpu_report.report_file import Report, join
from benchmarks.gpu_report.steps import GPU, STEPS, TRIAL, Plan


def run(report: Report, plan: Plan, names: list[str]) -> None:
    for name in names:
        step = report.step(name)
        if report.left() <= 0:
            step["state"] = "not run: the time was up"
            continue
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        report.write()
        try:
            STEPS[name](report, plan)
            step["state"] = "done"
        except Exception as error:  # a fault of the report itself must not cost the steps that follow
            traceback.print_exc()
            step["state"] = f"failed: {type(error).__name__}: {error}"[:500]
        step["seconds"] = round(time.monotonic() - started, 1)
        report.draw()
        report.write()
    report.write()


def _gpu_present() -> bool:
    """In a process of its own: this one never touches the GPU."""
    probe = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", probe]).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument(
        "--steps", nargs="+", choices=STEPS, default=list(STEPS), help="steps to run, after environment"
    )
    parser.add_argument("--budget", type=float, default=3600, help="seconds in all (default 3600)")
    parser.add_argument("--dry-run", action="store_true", help="try the report out on the CPU, at small sizes")
    parser.add_argument("--join", nargs="+", type=Path, metavar="DIR", help="run nothing, join these reports into one")
    arguments = parser.parse_args()
    if not arguments.join and not arguments.dry_run and not _gpu_present():
        raise SystemExit("torch finds no CUDA GPU here; --dry-run tries the report out on the CPU")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    os.environ.update(kernel_cache.environment())
    report = Report(arguments.out, arguments.budget)
    if arguments.join:
        report.results = join(arguments.join)
        report.draw()
        report.write()
    else:
        # Figures without their machine and its bandwidth are worth little, and reports are joined by them.
        names = list(dict.fromkeys(["environment", *arguments.steps]))
        run(report, TRIAL if arguments.dry_run else GPU, names)
    print((arguments.out / "report.md").read_text())


if __name__ == "__main__":
    main()
