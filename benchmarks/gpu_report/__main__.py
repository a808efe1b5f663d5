"""`python -m benchmarks.gpu_report --out DIR`: tests, times and checks the kernels on the GPU of this machine.

Needs torch, Triton and pytest, nvcc unless the extension is already built, and no network. DIR receives report.md,
report.json, speed.png and four logs, and is complete at any time: failures, hangs and missing tools are listed in the
report, and the remaining steps run.
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
            step["state"] = "not run: out of time"
            continue
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        report.write()
        try:
            STEPS[name](report, plan)
            step["state"] = "done"
        except Exception as error:  # a bug of the report must not stop later steps
            traceback.print_exc()
            step["state"] = f"failed: {type(error).__name__}: {error}"[:500]
        step["seconds"] = round(time.monotonic() - started, 1)
        report.draw()
        report.write()
    report.write()


def _gpu_present() -> bool:
    """Checked in a child process: this one never touches the GPU."""
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
    parser.add_argument("--budget", type=float, default=3600, help="seconds in total (default 3600)")
    parser.add_argument("--dry-run", action="store_true", help="try the report out on the CPU, at small sizes")
    parser.add_argument("--join", nargs="+", type=Path, metavar="DIR", help="only merge these reports into one")
    args = parser.parse_args()
    if not args.join and not args.dry_run and not _gpu_present():
        raise SystemExit("torch finds no CUDA GPU here; --dry-run tries the report out on the CPU")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))
    os.environ.update(kernel_cache.environment())
    report = Report(args.out, args.budget)
    if args.join:
        report.results = join(args.join)
        report.draw()
        report.write()
    else:
        # Results are of little use without their environment, which also identifies reports to join.
        names = list(dict.fromkeys(["environment", *args.steps]))
        run(report, TRIAL if args.dry_run else GPU, names)
    print((args.out / "report.md").read_text())


if __name__ == "__main__":
    main()
