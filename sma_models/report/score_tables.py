"""Scores as tables and as plain data."""

from typing import Any

from rich.console import Console
from rich.table import Table

from sma_models.metrics.aggregate import au_fold, expression_fold
from sma_models.metrics.predictions import predictions_of
from sma_models.metrics.scores import AUScores, ExpressionScores
from sma_models.utils.jsonable import to_jsonable

_COLUMNS = (
    ("F1", "f1"),
    ("constant", "f1_always_positive"),
    ("F1 at ½", "f1_at_0_5"),
    ("AUC", "auc"),
    ("accuracy", "accuracy"),
    ("positive", "prevalence"),
)
_AU_MEANS = tuple((f"mean {head}", f"mean_{key}") for head, key in _COLUMNS[:5])
_CLASS_MEANS = (("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("accuracy of sequences", "sequence_accuracy"))


def scores_as_dict(task: Any, split: str) -> dict[str, Any]:
    """The scores of the last evaluation of a task, as plain data; None if undefined."""
    faces, data = task.data.faces, task.data
    scores = {
        "split": split,
        "faces": len(task.tested[0]) if split == "test" else len(data.splits.val),
        "selection": data.selection,
        "protocol": data.protocol,
        "alignment": data.alignment["template"] if data.alignment else "none",
        "starts_from": task.starts_from,
        "regions": list(faces.regions),
        "scores": {
            name: to_jsonable(value.tolist() if hasattr(value, "tolist") else value)
            for name, value in vars(task.scores).items()
        },
    }
    if split == "test":
        predictions = predictions_of(task)
        scores["without_a_face"] = int((~predictions.detected).sum())
        if 0 < scores["without_a_face"] < len(predictions.detected):
            detected_scores = (au_fold if task.kind == "au" else expression_fold)(predictions.detected_only())
            scores["scores_with_a_face"] = {
                name: to_jsonable(value.tolist()) for name, value in detected_scores.items()
            }
    return scores


def data_description(result: dict[str, Any]) -> str:
    """The scored data, for the title of a table."""
    return f"{result['protocol']}, aligned by {result['alignment']}"


def print_scores(task: Any, split: str) -> None:
    """Print the scores of the last evaluation of a task on one split ("val" or "test")."""
    result = scores_as_dict(task, split)
    title = (
        f"{data_description(result)}: {split} split, {result['faces']} faces; epoch chosen by {result['selection']}; "
        f"starts from {result['starts_from']}"
    )
    console = Console()
    if isinstance(task.scores, AUScores):
        console.print(au_table(title, result["regions"], result["scores"]))
    else:
        console.print(expression_table(title, result["regions"], task.scores))
    if "scores_with_a_face" in result:
        detected_scores = result["scores_with_a_face"]
        names = _AU_MEANS if task.kind == "au" else _CLASS_MEANS
        text = ", ".join(f"{title} {_cell(detected_scores[key])}" for title, key in names)
        console.print(f"without the {result['without_a_face']} images without a detected face: {text}")


def au_table(title: str, regions: list[str], scores: dict[str, list[float | None]]) -> Table:
    """One row per action unit, then the means over defined scores, and their number."""
    table = Table("AU", *(head for head, _ in _COLUMNS), title=title)
    for row, name in enumerate(regions):
        table.add_row(name, *(_cell(scores[key][row]) for _, key in _COLUMNS))
    table.add_section()
    defined = {key: [v for v in scores[key] if v is not None] for _, key in _COLUMNS}
    table.add_row("mean", *(_cell(sum(d) / len(d) if d else None) for d in defined.values()))
    table.add_row("over", *(str(len(d)) for d in defined.values()))
    return table


def expression_table(title: str, regions: list[str], scores: ExpressionScores) -> Table:
    """One row per class: its F1 and its row of the confusion matrix; below, the scores next to the majority guess."""
    # Numbers head the columns: names of seven classes do not fit a terminal.
    table = Table("true \\ predicted", "F1", *(str(index + 1) for index in range(len(regions))), title=title)
    for row, name in enumerate(regions):
        cells = [str(int(count)) for count in scores.confusion[row]]
        table.add_row(f"{row + 1} {name}", _cell(to_jsonable(float(scores.f1[row]))), *cells)
    table.caption = (
        f"accuracy {scores.accuracy:.3f} (majority guess {scores.majority_accuracy:.3f}); "
        f"macro-F1 {scores.macro_f1:.3f} (majority guess {scores.majority_macro_f1:.3f})"
    )
    return table


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
