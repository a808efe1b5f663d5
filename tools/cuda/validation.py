"""Compares the timing model with the times that an H200 measured.

python -m tools.cuda.validation            prints the committed comparison
python -m tools.cuda.validation --write    compares this tree's kernels; sensible only if the report measured them
"""

import argparse
import json
import re
from pathlib import Path

from tools.cuda import tables, timing_model
from tools.cuda.kernel_timing import Prediction

TABLE = Path(__file__).with_name("validation.json")
RENAMED = {"values_backward": "pool_backward"}


def measured_kernels(row: dict) -> dict[str, float]:
    """Microseconds by the first word of the kernels' short names."""
    names = (re.search(r"(\w+)(?:<.*>)?\(\w", kernel["kernel"])[1] for kernel in row["kernels"])
    return {RENAMED.get(name, name): kernel["us"] for name, kernel in zip(names, row["kernels"], strict=True)}


def compared(predictions: dict[str, Prediction], row: dict) -> dict[str, dict[str, float]]:
    """Measured and predicted microseconds of the kernels and of the step."""
    measured = measured_kernels(row)
    times = {
        kernel: {"measured": measured[kernel.split()[0]], "predicted": round(prediction.microseconds, 2)}
        for kernel, prediction in predictions.items()
    }
    step = sum(prediction.microseconds + timing_model.GAP_US for prediction in predictions.values())
    return {**times, "step": {"measured": round(row["captured_us"], 2), "predicted": round(step, 2)}}


def comparison() -> dict[str, dict[str, dict[str, float]]]:
    """{shape and merge: {kernel: times}}"""
    kernels = timing_model.compiled_kernels()
    return {
        f"{shape} {merge}": compared(timing_model.predictions(kernels, shape, merge), row)
        for merge in ("max", "none")
        for shape, row in sorted(timing_model.measured_rows(merge).items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="compare this tree's kernels")
    if parser.parse_args().write:
        TABLE.write_text(tables.as_text(comparison()) + "\n")
    print("| shape, merge | kernel | measured, µs | predicted, µs | error |\n|---|---|---|---|---|")
    for shape, kernels in json.loads(TABLE.read_text()).items():
        for kernel, times in kernels.items():
            error = times["predicted"] / times["measured"] - 1
            print(f"| {shape} | {kernel} | {times['measured']:.1f} | {times['predicted']:.1f} | {error:+.0%} |")


if __name__ == "__main__":
    main()
