"""Results of an ablation as plain data and as Markdown."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sma_models.ablation.arms import Arm
from sma_models.ablation.contrasts import (
    AGREEMENT,
    ArmRuns,
    against,
    factorial_effects,
    fixed_contrasts,
    pseudo_values,
)
from sma_models.ablation.runs import Run, gather
from sma_models.ablation.statistics import paired

# Refinement that moves maps by less says nothing about refinement.
EXERCISED = 0.05
ARM_COLUMNS = (
    ("f1", "F1"),
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("energy", "energy inside"),
    ("pointing", "pointing"),
    ("iou", "IoU"),
    (AGREEMENT, "agreement"),
)
_INSIDE_COLUMNS = (
    ("area", "effective area"),
    ("cosine_before", "cosine before"),
    ("cosine_after", "cosine after"),
    ("moved", "moved by refinement"),
    ("least_winner_share", "least winner share"),
    ("diagonal", "diagonal of S"),
)
_CONTRAST_NAMES = {"f1": "F1", "auc": "AUC", "energy": "energy inside", AGREEMENT: "agreement of maps"}
_BASE = "wide"


def summarise_arm(out: Path, arm: Arm, seeds: list[int]) -> tuple[dict[str, Any], ArmRuns]:
    """Means, standard deviations and 95 % intervals over seeds of one arm, as plain data, and its runs."""
    runs = gather(out, arm.name, seeds)
    measures = dict(runs.measures)
    alike = pseudo_values(runs.maps)
    if alike is not None:
        measures[AGREEMENT] = alike
    contents = [Run(arm.name, seed).read(out) for seed in seeds]
    by_region = {
        name: np.mean([np.array(content["by_region"][name], np.float64) for content in contents], 0)
        for name in contents[0]["by_region"]
    }
    moved = measures.get("moved")
    summary = {
        "title": arm.title,
        "measures": {name: _spread(values, alone=name != AGREEMENT) for name, values in measures.items()},
        "by_region": by_region,
        "parameters": contents[0]["parameters"],
        "step_seconds": float(np.median([content["step_seconds"] for content in contents])),
        "exercised": None if moved is None or not arm.network.correlate else bool(np.mean(moved) >= EXERCISED),
    }
    return summary, runs


def _spread(values: np.ndarray, alone: bool) -> dict[str, Any]:
    """alone: whether each seed has a value of its own; pseudo-values have not, and are not shown one by one."""
    found = paired(values)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
    return {
        "mean": found.value,
        "low": found.low,
        "high": found.high,
        "sd": deviation if alone else np.nan,
        "seeds": values if alone else [],
    }


def compare(runs: dict[str, ArmRuns]) -> dict[str, Any]:
    """The fixed contrasts; main effects and differences from one wide map, as exploration."""
    names = [name for name in ("f1", "auc", "accuracy", "energy") if name in runs[_BASE].measures]
    names = [name for name in names if all(np.isfinite(arm.measures.get(name, 0.0)).all() for arm in runs.values())]
    return {
        "contrasts": fixed_contrasts(runs),
        "factorial": factorial_effects(runs, tuple(names)),
        "against_wide": against(runs, _BASE, (*names, AGREEMENT)),
    }


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write a result."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def markdown(result: dict[str, Any]) -> str:
    """The tables of a result as JSON holds it: what is undefined is None."""
    units = "auc" in next(iter(result["arms"].values()))["measures"]
    called = "Action units are called at thresholds chosen on validation people. " if units else ""
    lines = [
        f"# Ablation, {result['tier']} tier, {result['part']} part",
        "",
        f"{result['data']}. Seeds {result['seeds'][0]} to {result['seeds'][-1]}, the same for every arm. "
        f"{called}Intervals are 95 %, over seeds.",
        "",
        f"Command: `{result['command']}`",
        f"Machine: {result['machine']}",
        "",
        "## Contrasts, fixed before the runs",
        "",
        "p is corrected by Holm over all rows. Where the interval holds no difference (0, or a ratio of 1), or the "
        "corrected p is 0.05 or more, the contrast is *not shown*: it may be there, and too small for these seeds.",
        "",
        _row("", "measure", "arms", "difference", "95 %", "effect d", "p (Holm)", ""),
        _row(*["---"] * 8),
        *(_contrast(row, result) for row in result["contrasts"]),
        "",
        "## Arms",
        "",
        *_arm_table(result, ARM_COLUMNS),
        "",
        *_chance_lines(result),
        "",
        "## Inside the attention",
        "",
        *_arm_table(result, _INSIDE_COLUMNS, exercised=True),
        "",
        *_exploration(result),
    ]
    return "\n".join(lines) + "\n"


def _contrast(row: dict[str, Any], result: dict[str, Any]) -> str:
    plus, minus = (result["arms"][row[side]]["title"] for side in ("plus", "minus"))
    ratio = row["neutral"] == 1
    return _row(
        f"({row['number']})",
        ("ratio of " if ratio else "") + _CONTRAST_NAMES.get(row["measure"], row["measure"]),
        f"{plus} against {minus}",
        _number(row["value"]) if ratio else _signed(row["value"]),
        f"{_number(row['low'], 4)} to {_number(row['high'], 4)}",
        _number(row["effect"], 2),
        _number(row["p_holm"], 3),
        row["verdict"] if row["verdict"] == "not shown" else f"**{row['verdict']}**",
    )


def _arm_table(result: dict[str, Any], columns: tuple[tuple[str, str], ...], exercised: bool = False) -> list[str]:
    arms = result["arms"].values()
    kept = [column for column in columns if any(_mean(arm, column[0]) is not None for arm in arms)]
    heads = [head for _, head in kept] + (["refinement"] if exercised else ["parameters", "ms a step"])
    lines = [_row("arm", *heads), _row(*["---"] * (len(heads) + 1))]
    told = {None: "-", True: "exercised", False: "not exercised"}
    for arm in arms:
        if exercised and "area" not in arm["measures"]:
            continue
        last = (
            [told[arm["exercised"]]] if exercised else [f"{arm['parameters']:,}", f"{1000 * arm['step_seconds']:.1f}"]
        )
        lines.append(_row(arm["title"], *(_cell(arm, name) for name, _ in kept), *last))
    return lines


def _chance_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    titles = {
        "uniform": "a uniform map",
        "all_units": "mean region of all units",
        "other_unit": "another unit's region",
    }
    if result["chance"]:
        lines = [
            "Chance levels of attention, on the same faces:",
            "",
            _row("guess", "energy inside", "pointing", "IoU"),
        ]
        lines += [_row(*["---"] * 4)]
        for name, level in result["chance"].items():
            lines.append(_row(titles[name], *(_number(level[measure]) for measure in ("energy", "pointing", "iou"))))
    first = next(iter(result["arms"].values()))["measures"]
    if "constant" in first:
        lines += ["", f"The best constant guess scores a mean F1 of {_number(first['constant']['mean'])}."]
    return lines


def _exploration(result: dict[str, Any]) -> list[str]:
    lines = ["## Exploration", "", "Not corrected, and no evidence: what to look at next.", ""]
    arms = {name: arm["title"] for name, arm in result["arms"].items()}
    for title, rows, titles in (
        ("2×2 factorial: main effects and interaction", result["factorial"], {}),
        ("Against one wide map", result["against_wide"], arms),
    ):
        if rows:
            lines += [f"### {title}", "", _row("", "measure", "difference", "95 %"), _row(*["---"] * 4)]
            lines += [
                _row(
                    titles.get(row["name"], row["name"]),
                    _CONTRAST_NAMES.get(row["measure"], row["measure"]),
                    _signed(row["value"]),
                    f"{_number(row['low'], 4)} to {_number(row['high'], 4)}",
                )
                for row in rows
            ]
            lines.append("")
    if result["sweeps"]:
        lines += [f"### Settings of the full model, one at a time, {result['sweep_seeds']} seeds", ""]
        lines += _arm_table({"arms": result["sweeps"]}, (*ARM_COLUMNS, *_INSIDE_COLUMNS))
    return lines


def _mean(arm: dict[str, Any], name: str) -> float | None:
    mean: float | None = arm["measures"].get(name, {}).get("mean")
    return mean


def _cell(arm: dict[str, Any], name: str) -> str:
    mean = _mean(arm, name)
    if mean is None:
        return "-"
    deviation = arm["measures"][name]["sd"]
    return _number(mean) + ("" if deviation is None else f" ± {deviation:.3f}")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
