"""Results of a cross-validation as Markdown and as a figure."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sma_models.figures.score_plots import draw_aus, draw_confusion
from sma_models.metrics.published_results import PUBLISHED
from sma_models.utils.markdown_table import table_lines

_AU_COLUMNS = (
    ("f1", "F1"),
    ("f1_at_0_5", "F1 at ½"),
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("f1_always_positive", "always positive"),
    ("prevalence", "positive"),
)
_CLASS_ROWS = (
    ("accuracy", "accuracy of frames"),
    ("sequence_accuracy", "accuracy of sequences"),
    ("macro_f1", "macro-F1"),
    ("majority_accuracy", "accuracy of the majority guess"),
    ("majority_macro_f1", "macro-F1 of the majority guess"),
)


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result of `summarize`, with a description of the data."""
    lines = [
        f"# {result['protocol']}",
        "",
        f"Folds tested: {', '.join(result['folds'])}; seeds {', '.join(map(str, result['seeds']))}; epoch chosen by "
        f"`{result['selection']}`; starts from {result['starts_from']}; aligned by {result['alignment']}; "
        f"{result['frames']} frames scored, {result['without_a_face']} of them without a detected face.",
        "",
        "± is the standard deviation over seeds; intervals are 95 %, over resampled test subjects. `-` is undefined.",
        "",
    ]
    lines += _unit_lines(result) if result["kind"] == "au" else _class_lines(result)
    beside = [published for published in PUBLISHED if published.dataset == result["people"]]
    if beside:
        lines += [
            "",
            "Published results, mean F1 in percent, each with its own code, alignment and choice of epoch:",
            "",
        ]
        lines += [f"- {published.name}: {published.score} ({published.source})" for published in beside]
    return "\n".join(lines) + "\n"


def _unit_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    header = ("AU", *(title for _, title in _AU_COLUMNS))
    names = [name for name, _ in _AU_COLUMNS]
    for title, aggregate in _aggregates(result):
        rows: list[Iterable[str]] = [
            (region, *(_cell(aggregate[name], index) for name in names))
            for index, region in enumerate(result["regions"])
        ]
        rows.append(("**mean**", *(_cell(aggregate[f"mean_{name}"]) for name in names)))
        rows.append(("over", *(str(int(np.isfinite(aggregate[name]["mean"]).sum())) for name in names)))
        if "sd_over_folds" in aggregate["mean_f1"]:
            deviations = (_number(aggregate[f"mean_{name}"]["sd_over_folds"]) for name in names)
            rows.append(("deviation over folds", *deviations))
        lines += ["", f"## {title}", "", *table_lines(header, rows)]
    return [*lines, "", f"Mean F1, pooled: {interval(result, 'f1')}."]


def _class_lines(result: dict[str, Any]) -> list[str]:
    aggregates = _aggregates(result)
    rows: list[Iterable[str]] = [
        (title, *(_cell(aggregate.get(name, {})) for _, aggregate in aggregates)) for name, title in _CLASS_ROWS
    ]
    deviations = (
        _number(aggregate["accuracy"]["sd_over_folds"]) if "sd_over_folds" in aggregate["accuracy"] else "-"
        for _, aggregate in aggregates
    )
    rows.append(("deviation of frames' accuracy over folds", *deviations))
    lines = table_lines(("", *(title for title, _ in aggregates)), rows)
    for name, title in (("accuracy", "Accuracy of frames"), ("macro_f1", "Macro-F1")):
        lines += ["", f"{title}, pooled: {interval(result, name)}."]
    pooled = result["pooled"]
    confusion = (
        (region, *(f"{value:.1f}" for value in pooled["confusion"]["mean"][index]), _cell(pooled["f1"], index))
        for index, region in enumerate(result["regions"])
    )
    lines += ["", "## Confusion, pooled, mean over seeds (rows are true)", ""]
    return [*lines, *table_lines(("", *result["regions"], "F1"), confusion)]


def interval(result: dict[str, Any], measure: str) -> str:
    """The 95 % interval of a pooled measure as text; `-` if undefined (NaN, or None if read from a file)."""
    low, high = (np.nan if end is None else end for end in result["interval"][measure])
    return f"95 % interval {_number(low)} to {_number(high)}" if np.isfinite([low, high]).all() else "95 % interval -"


def _aggregates(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    aggregates = [("Pooled over folds", result["pooled"]), ("Mean of folds", result["mean_of_folds"])]
    if "pooled_with_a_face" in result:
        aggregates.append(("Pooled, frames with a face only", result["pooled_with_a_face"]))
    return aggregates


def _cell(measure: dict[str, Any], index: int | None = None) -> str:
    mean: Any = measure.get("mean", np.nan)
    spread: Any = measure.get("sd_over_seeds", np.nan)
    if index is not None:
        mean = mean[index]
        spread = spread[index] if np.ndim(spread) else spread
    return _number(mean) + ("" if np.isnan(spread) else f" ± {spread:.3f}")


def _number(value: Any) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def draw_crossval(result: dict[str, Any]) -> Figure:
    """F1 of each action unit next to the constant guess, or the confusion matrix, pooled over folds."""
    pooled, title, regions = result["pooled"], result["protocol"], result["regions"]
    if result["kind"] == "au":
        f1 = pooled["f1"]
        return draw_aus(title, regions, f1["mean"], pooled["f1_always_positive"]["mean"], f1["sd_over_seeds"])
    return draw_confusion(title, regions, pooled["confusion"]["mean"])
