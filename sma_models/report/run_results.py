"""What a run of `sma-net demo`, `fit` or `crossval` left in its folder."""

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
from sma_models.report.crossval_summary import draw, interval
from sma_models.report.html_tables import Block, from_markdown, from_rich
from sma_models.report.score_tables import au_table, data_of, expression_table
from sma_models.utils.run_dir import LOG


@dataclass
class Run:
    """title:    what was scored
    headline:    (measure, value, what it stands beside)
    scores:      paragraphs and tables of the scores, and a figure of them
    logs:        metrics.csv of every training; checkpoint: whose network is shown; settings: as YAML
    missing:     what a whole run would have and this one lacks
    """

    title: str
    headline: list[tuple[str, str, str]] = field(default_factory=list)
    scores: list[Block] = field(default_factory=list)
    picture: Figure | None = None
    logs: list[Path] = field(default_factory=list)
    checkpoint: Path | None = None
    settings: str = ""
    on_drawn_faces: bool = False
    missing: list[str] = field(default_factory=list)


def read_run(folder: Path) -> Run:
    """FileNotFoundError if there is no folder; ValueError if it is not one of a run."""
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
    for found, what in (
        (run.scores, "scores of a test part"),
        (run.logs, f"{LOG}: no curves are shown"),
        (run.checkpoint, "best.ckpt: no attention is shown"),
        (run.settings, "settings"),
    ):
        if not found:
            run.missing.append(what)
    return run


def _single(folder: Path) -> Run:
    """The demonstration, or one training."""
    run = Run(f"Run {folder.resolve().name}", logs=_existing(folder / LOG))
    run.checkpoint = next(iter(_existing(folder / "best.ckpt", folder / "checkpoints" / "best.ckpt")), None)
    for path in _existing(folder / "config.yaml"):
        run.settings = path.read_text(encoding="utf-8")
    for path in _existing(folder / "result.json", folder / "scores_test.json")[:1]:
        found = json.loads(path.read_text(encoding="utf-8"))
        run.settings = run.settings or yaml.safe_dump(found.get("settings", {}), sort_keys=False)
        run.on_drawn_faces = found["protocol"] == SyntheticFaceData.__name__
        run.title = "Drawn faces" if run.on_drawn_faces else data_of(found)
        _add_scores(run, found)
    return run


def _add_scores(run: Run, found: dict[str, Any]) -> None:
    """The scores of one test, as `scores_as_dict` has stored them."""
    scores, regions = current_names(found["scores"]), found["regions"]
    faceless = found.get("without_a_face", 0)
    about = (
        f"{found['part']} part, {found['faces']} faces, {faceless} of them without a face that was found; epoch chosen by "
        f"{found['selection']}; starts from {found['starts_from']}"
    )
    run.scores.append(Block(text=about))
    if "confusion" in scores:
        counted = expression_scores(torch.tensor(scores["confusion"]))
        run.headline = [
            ("accuracy", f"{counted.accuracy:.3f}", f"majority guess {counted.majority_accuracy:.3f}"),
            ("macro-F1", f"{counted.macro_f1:.3f}", f"majority guess {counted.majority_macro_f1:.3f}"),
        ]
        run.scores.append(from_rich(expression_table("", regions, counted)))
        run.picture = draw_confusion("share of each true class", regions, scores["confusion"])
        return
    means = {name: _mean(values) for name, values in scores.items()}
    run.headline = [
        ("mean F1", means["f1"], f"always present {means['f1_always_positive']}"),
        ("mean AUC", means["auc"], "a guess 0.500"),
        ("mean F1 at ½", means["f1_at_0_5"], "without chosen thresholds"),
    ]
    run.scores.append(from_rich(au_table("", regions, scores)))
    run.picture = draw_aus("F1 of each action unit", regions, scores["f1"], scores["f1_always_positive"])


def _mean(values: list[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return f"{sum(defined) / len(defined):.3f}" if defined else "-"


def _crossval(folder: Path) -> Run:
    result = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    runs = sorted(folder.glob("fold_*/seed_*"))
    run = Run(result["protocol"], logs=_existing(*(each / LOG for each in runs)))
    run.checkpoint = next(iter(_existing(*(each / "checkpoints" / "best.ckpt" for each in runs))), None)
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
    for head, key, of_interval, guess, guess_key in measures:
        beside = f"{guess} {_number(pooled[guess_key]['mean'])}; {interval(result, of_interval)}"
        run.headline.append((f"{head}, pooled", _number(pooled[key]["mean"]), beside))
    run.picture = draw(result)
    return run


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _existing(*paths: Path) -> list[Path]:
    return [path for path in paths if path.is_file()]
