"""Reads the results of a run of `sma-net demo`, `fit` or `crossval` from its folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure

from sma_models.data import SyntheticFaceData
from sma_models.figures.score_plots import draw_aus, draw_confusion
from sma_models.metrics.scores import current_names, expression_scores
from sma_models.report.crossval_summary import draw_crossval, interval
from sma_models.report.html_tables import Block, from_markdown, from_rich
from sma_models.report.score_tables import au_table, data_description, expression_table
from sma_models.utils.run_dir import LOG


@dataclass
class RunResults:
    """title:    description of the data
    headline:    (measure, value, comparison)
    scores:      paragraphs and tables of the scores; figure: their plot
    logs:        metrics.csv of every training run; checkpoint: of the network to show; settings: as YAML
    missing:     descriptions of missing parts of the run
    """

    title: str
    headline: list[tuple[str, str, str]] = field(default_factory=list)
    scores: list[Block] = field(default_factory=list)
    figure: Figure | None = None
    logs: list[Path] = field(default_factory=list)
    checkpoint: Path | None = None
    settings: str = ""
    on_synthetic_faces: bool = False
    missing: list[str] = field(default_factory=list)


def read_run(folder: Path) -> RunResults:
    """Read a run. FileNotFoundError without the folder; ValueError if it is not the folder of a run."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "results.json").is_file():
        run = _crossval(folder)
    elif any((folder / name).is_file() for name in ("result.json", "scores_test.json", "config.yaml", LOG)):
        run = _single(folder)
    else:
        raise ValueError(
            f"expected the folder of a run of sma-net demo, fit or crossval, with result.json, scores_test.json, "
            f"config.yaml, {LOG} or results.json in it; got {folder}"
        )
    for content, description in (
        (run.scores, "scores of the test split"),
        (run.logs, f"{LOG}: no curves are shown"),
        (run.checkpoint, "best.ckpt: no attention is shown"),
        (run.settings, "settings"),
    ):
        if not content:
            run.missing.append(description)
    return run


def _single(folder: Path) -> RunResults:
    """The demo, or one training run."""
    run = RunResults(f"Run {folder.resolve().name}", logs=_existing(folder / LOG))
    run.checkpoint = next(iter(_existing(folder / "best.ckpt", folder / "checkpoints" / "best.ckpt")), None)
    for path in _existing(folder / "config.yaml"):
        run.settings = path.read_text(encoding="utf-8")
    for path in _existing(folder / "result.json", folder / "scores_test.json")[:1]:
        result = json.loads(path.read_text(encoding="utf-8"))
        run.settings = run.settings or yaml.safe_dump(result.get("settings", {}), sort_keys=False)
        run.on_synthetic_faces = result["protocol"] == SyntheticFaceData.__name__
        run.title = "Synthetic faces" if run.on_synthetic_faces else data_description(result)
        _add_scores(run, result)
    return run


def _add_scores(run: RunResults, result: dict[str, Any]) -> None:
    """Add the scores of one test, as stored by `scores_as_dict`."""
    scores, regions = current_names(result["scores"]), result["regions"]
    # The previous version wrote `part` for the split.
    undetected = result.get("without_a_face", 0)
    description = (
        f"{result.get('split') or result['part']} split, {result['faces']} faces, {undetected} of them without a detected "
        f"face; epoch chosen by {result['selection']}; starts from {result['starts_from']}"
    )
    run.scores.append(Block(text=description))
    if "confusion" in scores:
        class_scores = expression_scores(torch.tensor(scores["confusion"]))
        run.headline = [
            ("accuracy", f"{class_scores.accuracy:.3f}", f"majority guess {class_scores.majority_accuracy:.3f}"),
            ("macro-F1", f"{class_scores.macro_f1:.3f}", f"majority guess {class_scores.majority_macro_f1:.3f}"),
        ]
        run.scores.append(from_rich(expression_table("", regions, class_scores)))
        run.figure = draw_confusion("share of each true class", regions, scores["confusion"])
        return
    means = {name: _mean(values) for name, values in scores.items()}
    run.headline = [
        ("mean F1", means["f1"], f"always present {means['f1_always_positive']}"),
        ("mean AUC", means["auc"], "a guess 0.500"),
        ("mean F1 at ½", means["f1_at_0_5"], "without chosen thresholds"),
    ]
    run.scores.append(from_rich(au_table("", regions, scores)))
    run.figure = draw_aus("F1 of each action unit", regions, scores["f1"], scores["f1_always_positive"])


def _mean(values: list[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return f"{sum(defined) / len(defined):.3f}" if defined else "-"


def _crossval(folder: Path) -> RunResults:
    result = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    fold_runs = sorted(folder.glob("fold_*/seed_*"))
    run = RunResults(result["protocol"], logs=_existing(*(fold_run / LOG for fold_run in fold_runs)))
    run.checkpoint = next(iter(_existing(*(fold_run / "checkpoints" / "best.ckpt" for fold_run in fold_runs))), None)
    for path in _existing(folder / "settings.yaml"):
        run.settings = path.read_text(encoding="utf-8")
    for path in _existing(folder / "results.md"):
        # Its first line is the title.
        run.scores = from_markdown(path.read_text(encoding="utf-8").partition("\n")[2])
    result |= {kind: current_names(result[kind]) for kind in ("pooled", "mean_of_folds")}
    pooled = result["pooled"]
    measures = (
        (("mean F1", "mean_f1", "f1", "always present", "mean_f1_always_positive"),)
        if result["kind"] == "au"
        else (
            ("accuracy", "accuracy", "accuracy", "majority guess", "majority_accuracy"),
            ("macro-F1", "macro_f1", "macro_f1", "majority guess", "majority_macro_f1"),
        )
    )
    for title, key, interval_key, guess, guess_key in measures:
        comparison = f"{guess} {_number(pooled[guess_key]['mean'])}; {interval(result, interval_key)}"
        run.headline.append((f"{title}, pooled", _number(pooled[key]["mean"]), comparison))
    run.figure = draw_crossval(result)
    return run


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _existing(*paths: Path) -> list[Path]:
    return [path for path in paths if path.is_file()]
