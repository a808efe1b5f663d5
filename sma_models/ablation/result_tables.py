"""Results of an ablation as tables: `python -m sma_models.ablation.result_tables RESULTS.json SECTION` prints one of them."""

import argparse
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from sma_models.ablation.contrasts import AGREEMENT

Result = dict[str, Any]  # as JSON holds it: what is undefined is None

ARM_COLUMNS = (
    ("f1", "F1"),
    ("auc", "AUC"),
    ("accuracy", "accuracy"),
    ("energy", "energy inside"),
    ("pointing", "pointing"),
    ("iou", "IoU"),
    (AGREEMENT, "agreement"),
)
_SUMMARY_COLUMNS = tuple(column for column in ARM_COLUMNS if column[0] not in ("pointing", "iou"))
_INSIDE_COLUMNS = (
    ("area", "effective area"),
    ("cosine_before", "cosine before"),
    ("cosine_after", "cosine after"),
    ("moved", "moved by refinement"),
    ("least_winner_share", "least winner share"),
    ("diagonal", "diagonal of S"),
)
_CONTRAST_NAMES = {"f1": "F1", "auc": "AUC", "energy": "energy inside", AGREEMENT: "agreement of maps"}


def markdown(result: Result) -> str:
    """All tables of a result."""
    lines = [
        f"# Ablation, {result['tier']} tier, {result['part']} part",
        "",
        *_description(result),
        "",
        "## Contrasts, fixed before the runs",
        "",
        "p is corrected by Holm over all rows. Where the interval holds no difference (0, or a ratio of 1), or the "
        "corrected p is 0.05 or more, the contrast is *not shown*: it may be there, and too small for these seeds.",
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
        "Not corrected, and no evidence: what to look at next.",
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
    called = "Action units are called at thresholds chosen on validation people. " if units else ""
    return [
        f"{result['data']}. Seeds {result['seeds'][0]} to {result['seeds'][-1]}, the same for every arm. "
        f"{called}Intervals are 95 %, over seeds.",
        "",
        f"Command: `{result['command']}`",
        f"Machine: {result['machine']}",
    ]


def _contrasts(result: Result) -> list[str]:
    return [
        *_head("", "measure", "arms", "difference", "95 %", "effect d", "p (Holm)", ""),
        *(_row(*_contrast_cells(row, result)) for row in result["contrasts"]),
    ]


def _contrast_cells(row: dict[str, Any], result: Result) -> tuple[str, ...]:
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
    """The contrasts in five columns, with the interval beside the difference."""
    lines = _head("", "measure", "arms", "difference (95 %)", "")
    for row in result["contrasts"]:
        number, measure, arms, difference, interval, *_, verdict = _contrast_cells(row, result)
        lines.append(_row(number, measure, arms, f"{difference} ({interval})", verdict))
    return lines


def _arm_table(
    found: dict[str, dict[str, Any]], columns: tuple[tuple[str, str], ...], exercised: bool = False
) -> list[str]:
    arms = found.values()
    measured = _measured(arms, columns)
    heads = [head for _, head in measured] + (["refinement"] if exercised else ["parameters", "ms a step"])
    lines = _head("arm", *heads)
    told = {None: "-", True: "exercised", False: "not exercised"}
    for arm in arms:
        if exercised and "area" not in arm["measures"]:
            continue
        last = (
            [told[arm["exercised"]]] if exercised else [f"{arm['parameters']:,}", f"{1000 * arm['step_seconds']:.1f}"]
        )
        lines.append(_row(arm["title"], *(_cell(arm, name) for name, _ in measured), *last))
    return lines


def _measured(arms: Collection[dict[str, Any]], columns: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """The columns that at least one arm has a value for."""
    return [column for column in columns if any(_mean(arm, column[0]) is not None for arm in arms)]


def _arms(result: Result) -> list[str]:
    return _arm_table(result["arms"], ARM_COLUMNS)


def _arm_summary(result: Result) -> list[str]:
    """The arms in five columns: action units have an AUC, expressions an accuracy."""
    arms = result["arms"].values()
    columns = _measured(arms, _SUMMARY_COLUMNS)
    lines = _head("arm", *(title for _, title in columns))
    return lines + [_row(arm["title"], *(_cell(arm, name) for name, _ in columns)) for arm in arms]


def _inside(result: Result) -> list[str]:
    return _arm_table(result["arms"], _INSIDE_COLUMNS, exercised=True)


def _sweeps(result: Result) -> list[str]:
    return _arm_table(result["sweeps"], (*ARM_COLUMNS, *_INSIDE_COLUMNS))


def _chance(result: Result) -> list[str]:
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
            *_head("guess", "energy inside", "pointing", "IoU"),
        ]
        for name, level in result["chance"].items():
            lines.append(_row(titles[name], *(_number(level[measure]) for measure in ("energy", "pointing", "iou"))))
        lines.append("")
    constant = next(iter(result["arms"].values()))["measures"]["constant"]
    return [*lines, f"The best constant guess scores a mean F1 of {_number(constant['mean'])}."]


def _factorial(result: Result) -> list[str]:
    return _differences(result["factorial"], {})


def _against(result: Result) -> list[str]:
    return _differences(result["against_wide"], {name: arm["title"] for name, arm in result["arms"].items()})


def _differences(rows: list[dict[str, Any]], titles: dict[str, str]) -> list[str]:
    lines = _head("", "measure", "difference", "95 %")
    lines += [
        _row(
            titles.get(row["name"], row["name"]),
            _CONTRAST_NAMES.get(row["measure"], row["measure"]),
            _signed(row["value"]),
            f"{_number(row['low'], 4)} to {_number(row['high'], 4)}",
        )
        for row in rows
    ]
    return lines if rows else ["None with these arms."]


def _mean(arm: dict[str, Any], name: str) -> float | None:
    mean: float | None = arm["measures"].get(name, {}).get("mean")
    return mean


def _cell(arm: dict[str, Any], name: str) -> str:
    mean = _mean(arm, name)
    if mean is None:
        return "-"
    deviation = arm["measures"][name]["sd"]
    return _number(mean) + ("" if deviation is None else f" ± {deviation:.3f}")


def _head(*cells: str) -> list[str]:
    return [_row(*cells), _row(*["---"] * len(cells))]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


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
    chosen = parser.parse_args()
    print("\n".join(SECTIONS[chosen.section](json.loads(chosen.results.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
