"""Tables of the results of an ablation.

`python -m sma_models.ablation.result_tables RESULTS.json SECTION` prints one of them.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sma_models.ablation.contrasts import AGREEMENT
from sma_models.utils.markdown_table import table_lines

Arm = dict[str, Any]
Column = tuple[str, str]  # measure, title
Result = dict[str, Any]  # as in JSON: None if undefined

ARM_COLUMNS: tuple[Column, ...] = (
    ("f1", "F1"),
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("energy", "energy inside"),
    ("pointing", "pointing"),
    ("iou", "IoU"),
    (AGREEMENT, "agreement"),
)
_SUMMARY_COLUMNS = tuple(column for column in ARM_COLUMNS if column[0] not in ("pointing", "iou"))
_INSIDE_COLUMNS: tuple[Column, ...] = (
    ("area", "effective area"),
    ("cosine_before", "cosine before"),
    ("cosine_after", "cosine after"),
    ("moved", "moved by refinement"),
    ("least_winner_share", "least winner share"),
    ("diagonal", "diagonal of S"),
)
_CHANCE_TITLES = {
    "uniform": "a uniform map",
    "all_units": "mean region of all units",
    "other_unit": "another unit's region",
}
_CONTRAST_NAMES = {"f1": "F1", "auc": "AUC", "energy": "energy inside", AGREEMENT: "agreement of maps"}


# Keys of results of earlier versions, and their present names.
_RENAMED = {"tier": "protocol", "part": "phase", "machine": "environment"}


def read_result(path: Path) -> Result:
    """The results.json of `sma-net ablate`, also of an earlier version."""
    result = {_RENAMED.get(key, key): value for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
    for old, new in _RENAMED.items():
        result["command"] = result["command"].replace(f"--{old} ", f"--{new} ")  # to be run with this version
    for arm in (*result["arms"].values(), *result["sweeps"].values()):
        if "exercised" in arm:
            arm["refinement_active"] = arm.pop("exercised")
    return result


def markdown(result: Result) -> str:
    """All tables of a result."""
    lines = [
        f"# Ablation, {result['protocol']} protocol, {result['phase']} phase",
        "",
        *_description(result),
        "",
        "## Pre-registered contrasts",
        "",
        "p is corrected by Holm over all rows. A contrast is *not shown* if its interval contains no difference (0, or a "
        "ratio of 1), or if the corrected p is 0.05 or more: an effect may exist, but be too small for this number of seeds.",
        "",
        *_contrasts(result),
        "",
        "## Arms",
        "",
        *_arms(result),
        "",
        *_chance(result),
        "",
        "## Inside the attention",
        "",
        *_inside(result),
        "",
        "## Exploration",
        "",
        "Not corrected: suggestions for further experiments, not evidence.",
        "",
        "### 2×2 factorial: main effects and interaction",
        "",
        *_factorial(result),
        "",
        "### Against one wide map",
        "",
        *_against(result),
    ]
    if result["sweeps"]:
        lines += [
            "",
            f"### Settings of the full model, one at a time, {result['sweep_seeds']} seeds",
            "",
            *_sweeps(result),
        ]
    return "\n".join(lines) + "\n"


def _description(result: Result) -> list[str]:
    units = "auc" in next(iter(result["arms"].values()))["measures"]
    thresholds = "Thresholds of action units are chosen on validation subjects. " if units else ""
    return [
        f"{result['data']}. Seeds {result['seeds'][0]} to {result['seeds'][-1]}, the same for every arm. "
        f"{thresholds}Intervals are 95 %, over seeds.",
        "",
        f"Command: `{result['command']}`",
        f"Machine: {result['environment']}",
    ]


def _contrasts(result: Result) -> list[str]:
    header = ("", "measure", "arms", "difference", "95 %", "effect d", "p (Holm)", "")
    return table_lines(header, (_contrast(row, result) for row in result["contrasts"]))


def _contrast(row: dict[str, Any], result: Result) -> tuple[str, ...]:
    plus, minus = (result["arms"][row[side]]["title"] for side in ("plus", "minus"))
    ratio = row["neutral"] == 1
    return (
        f"({row['number']})",
        ("ratio of " if ratio else "") + _CONTRAST_NAMES.get(row["measure"], row["measure"]),
        f"{plus} against {minus}",
        _number(row["value"]) if ratio else _signed(row["value"]),
        f"{_number(row['low'], 4)} to {_number(row['high'], 4)}",
        _number(row["effect"], 2),
        _number(row["p_holm"], 3),
        row["verdict"] if row["verdict"] == "not shown" else f"**{row['verdict']}**",
    )


def _contrast_summary(result: Result) -> list[str]:
    """The contrasts in five columns, with the interval next to the difference."""
    rows = []
    for contrast in result["contrasts"]:
        number, measure, arms, difference, interval, *_, verdict = _contrast(contrast, result)
        rows.append((number, measure, arms, f"{difference} ({interval})", verdict))
    return table_lines(("", "measure", "arms", "difference (95 %)", ""), rows)


def _arm_table(arms: dict[str, Arm], columns: tuple[Column, ...], last: dict[str, Callable[[Arm], str]]) -> list[str]:
    """One row per arm: the columns that have a value in any arm, then those of `last`."""
    measured = [column for column in columns if any(_mean(arm, column[0]) is not None for arm in arms.values())]
    header = ("arm", *(title for _, title in measured), *last)
    rows = (
        (arm["title"], *(_cell(arm, name) for name, _ in measured), *(text(arm) for text in last.values()))
        for arm in arms.values()
    )
    return table_lines(header, rows)


def _arms(result: Result) -> list[str]:
    return _arm_table(result["arms"], ARM_COLUMNS, _COST)


def _arm_summary(result: Result) -> list[str]:
    """The arms in five columns: action units have an AUC, expressions an accuracy."""
    return _arm_table(result["arms"], _SUMMARY_COLUMNS, {})


def _inside(result: Result) -> list[str]:
    with_attention = {name: arm for name, arm in result["arms"].items() if "area" in arm["measures"]}
    return _arm_table(with_attention, _INSIDE_COLUMNS, {"refinement": _refinement})


def _sweeps(result: Result) -> list[str]:
    return _arm_table(result["sweeps"], (*ARM_COLUMNS, *_INSIDE_COLUMNS), _COST)


_COST: dict[str, Callable[[Arm], str]] = {
    "parameters": lambda arm: f"{arm['parameters']:,}",
    "ms per step": lambda arm: f"{1000 * arm['step_seconds']:.1f}",
}


def _refinement(arm: Arm) -> str:
    return {None: "-", True: "active", False: "inactive"}[arm["refinement_active"]]


def _chance(result: Result) -> list[str]:
    lines = []
    if result["chance"]:
        rows = (
            (_CHANCE_TITLES[name], *(_number(level[measure]) for measure in ("energy", "pointing", "iou")))
            for name, level in result["chance"].items()
        )
        header = ("guess", "energy inside", "pointing", "IoU")
        lines = ["Chance levels of attention, on the same faces:", "", *table_lines(header, rows), ""]
    constant = next(iter(result["arms"].values()))["measures"]["constant"]
    return [*lines, f"The best constant guess scores a mean F1 of {_number(constant['mean'])}."]


def _factorial(result: Result) -> list[str]:
    return _differences(result["factorial"], {})


def _against(result: Result) -> list[str]:
    return _differences(result["against_wide"], {name: arm["title"] for name, arm in result["arms"].items()})


def _differences(rows: list[dict[str, Any]], titles: dict[str, str]) -> list[str]:
    if not rows:
        return ["None with these arms."]
    cells = (
        (
            titles.get(row["name"], row["name"]),
            _CONTRAST_NAMES.get(row["measure"], row["measure"]),
            _signed(row["value"]),
            f"{_number(row['low'], 4)} to {_number(row['high'], 4)}",
        )
        for row in rows
    )
    return table_lines(("", "measure", "difference", "95 %"), cells)


def _mean(arm: dict[str, Any], name: str) -> float | None:
    mean: float | None = arm["measures"].get(name, {}).get("mean")
    return mean


def _cell(arm: dict[str, Any], name: str) -> str:
    mean = _mean(arm, name)
    if mean is None:
        return "-"
    deviation = arm["measures"][name]["sd"]
    return _number(mean) + ("" if deviation is None else f" ± {deviation:.3f}")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


SECTIONS: dict[str, Callable[[Result], list[str]]] = {
    "description": _description,
    "contrasts": _contrasts,
    "contrast_summary": _contrast_summary,
    "arms": _arms,
    "arm_summary": _arm_summary,
    "chance": _chance,
    "inside": _inside,
    "factorial": _factorial,
    "against": _against,
    "sweeps": _sweeps,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sma_models.ablation.result_tables", description=__doc__)
    parser.add_argument("results", type=Path, help="results.json of `sma-net ablate`")
    parser.add_argument("section", choices=SECTIONS)
    args = parser.parse_args()
    print("\n".join(SECTIONS[args.section](read_result(args.results))))


if __name__ == "__main__":
    main()
