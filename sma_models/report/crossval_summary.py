"""Results of a cross-validation as Markdown and as a picture."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sma_models.figures.score_plots import draw_aus, draw_confusion
from sma_models.metrics.published_results import PUBLISHED

_UNITS = (
    ("f1", "F1"),
    ("f1_at_0_5", "F1 at ½"),
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("f1_always_positive", "always positive"),
    ("prevalence", "positive"),
)
_CLASSES = (
    ("accuracy", "accuracy of frames"),
    ("sequence_accuracy", "accuracy of sequences"),
    ("macro_f1", "macro-F1"),
    ("majority_accuracy", "accuracy of the majority guess"),
    ("majority_macro_f1", "macro-F1 of the majority guess"),
)


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result of `summarize`, with what they were measured on."""
    lines = [
        f"# {result['protocol']}",
        "",
        f"Folds tested: {', '.join(result['folds'])}; seeds {', '.join(map(str, result['seeds']))}; epoch chosen by "
        f"`{result['selection']}`; starts from {result['starts_from']}; aligned by {result['alignment']}; "
        f"{result['frames']} frames scored, {result['without_a_face']} of them without a face that was found.",
        "",
        "± is the standard deviation over seeds; intervals are 95 %, over resampled test subjects. `-` is undefined.",
        "",
    ]
    lines += _unit_lines(result) if result["kind"] == "au" else _class_lines(result)
    beside = [peer for peer in PUBLISHED if peer.dataset == result["people"]]
    if beside:
        lines += [
            "",
            "Published by others, mean F1 in hundredths, each on its own code, alignment and choice of epoch:",
            "",
        ]
        lines += [f"- {peer.name}: {peer.score} ({peer.source})" for peer in beside]
    return "\n".join(lines) + "\n"


def _unit_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    for title, part in _parts(result):
        lines += ["", f"## {title}", "", _row("AU", *(head for _, head in _UNITS)), _row(*["---"] * (len(_UNITS) + 1))]
        for place, region in enumerate(result["regions"]):
            lines.append(_row(region, *(_cell(part[name], place) for name, _ in _UNITS)))
        lines.append(_row("**mean**", *(_cell(part[f"mean_{name}"]) for name, _ in _UNITS)))
        lines.append(_row("over", *(str(int(np.isfinite(part[name]["mean"]).sum())) for name, _ in _UNITS)))
        if "sd_over_folds" in part["mean_f1"]:
            spread = (_number(part[f"mean_{name}"]["sd_over_folds"]) for name, _ in _UNITS)
            lines.append(_row("deviation over folds", *spread))
    return [*lines, "", f"Mean F1, pooled: {interval(result, 'f1')}."]


def _class_lines(result: dict[str, Any]) -> list[str]:
    parts = _parts(result)
    lines = [_row("", *(title for title, _ in parts)), _row(*["---"] * (len(parts) + 1))]
    lines += [_row(head, *(_cell(part.get(name, {})) for _, part in parts)) for name, head in _CLASSES]
    spread = (
        "-" if "sd_over_folds" not in p["accuracy"] else _number(p["accuracy"]["sd_over_folds"]) for _, p in parts
    )
    lines.append(_row("deviation of frames' accuracy over folds", *spread))
    for name, head in (("accuracy", "Accuracy of frames"), ("macro_f1", "Macro-F1")):
        lines += ["", f"{head}, pooled: {interval(result, name)}."]
    lines += ["", "## Confusion, pooled, mean over seeds (rows are true)", ""]
    lines += [_row("", *result["regions"], "F1"), _row(*["---"] * (len(result["regions"]) + 2))]
    pooled = result["pooled"]
    for place, region in enumerate(result["regions"]):
        cells = (f"{value:.1f}" for value in pooled["confusion"]["mean"][place])
        lines.append(_row(region, *cells, _cell(pooled["f1"], place)))
    return lines


def interval(result: dict[str, Any], measure: str) -> str:
    """The 95 % interval of a pooled measure in words; `-` where it is undefined, which is None once it has been stored."""
    low, high = (np.nan if end is None else end for end in result["interval"][measure])
    return f"95 % interval {_number(low)} to {_number(high)}" if np.isfinite([low, high]).all() else "95 % interval -"


def _parts(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    parts = [("Pooled over folds", result["pooled"]), ("Mean of folds", result["mean_of_folds"])]
    if "pooled_with_a_face" in result:
        parts.append(("Pooled, frames with a face only", result["pooled_with_a_face"]))
    return parts


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(measure: dict[str, Any], place: int | None = None) -> str:
    mean: Any = measure.get("mean", np.nan)
    spread: Any = measure.get("sd_over_seeds", np.nan)
    if place is not None:
        mean = mean[place]
        spread = spread[place] if np.ndim(spread) else spread
    return _number(mean) + ("" if np.isnan(spread) else f" ± {spread:.3f}")


def _number(value: Any) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def draw(result: dict[str, Any]) -> Figure:
    """F1 of each action unit beside the constant guess, or the confusion matrix, pooled over folds."""
    pooled, title, regions = result["pooled"], result["protocol"], result["regions"]
    if result["kind"] == "au":
        f1 = pooled["f1"]
        return draw_aus(title, regions, f1["mean"], pooled["f1_always_positive"]["mean"], f1["sd_over_seeds"])
    return draw_confusion(title, regions, pooled["confusion"]["mean"])
