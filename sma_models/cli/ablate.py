"""`sma-net ablate`: every arm with every seed, and what they say of each other."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sma_models.ablation.arms import Arm, make_arms, make_sweeps
from sma_models.ablation.config import Ablation
from sma_models.ablation.experiment import Experiment, prepare
from sma_models.ablation.plots import draw_arms, draw_contrasts
from sma_models.ablation.result_tables import markdown
from sma_models.ablation.run_files import Run, in_processes
from sma_models.ablation.summary import compare, summarise_arm
from sma_models.cli.lightning import shipped
from sma_models.utils.cpu import available_cpus
from sma_models.utils.environment import describe_machine
from sma_models.utils.jsonable import to_jsonable
from sma_models.utils.run_dir import check_same_settings

# More of them may be asked for in the same folder: nothing that is there changes.
_GROWING = ("seeds", "sweep_seeds", "sweeps")


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net ablate`."""
    parser = ArgumentParser(
        prog="sma-net ablate",
        description="Compare the parts of the attention head with paired seeds. A run that was stopped goes on where it "
        "stopped; more seeds may be added to a finished one.",
    )
    parser.add_argument("--config", action="config", help="a YAML file, such as ablation_heads.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument(
        "--cache", type=Path, help="folder of features, which experiments may share; in --out by default"
    )
    parser.add_argument("--processes", type=int, default=available_cpus(), help="runs at a time, of one thread each")
    parser.add_class_arguments(Ablation, as_group=False)
    given = parser.parse_args([shipped(argument) for argument in arguments])
    if given.processes < 1:
        parser.error(f"--processes must be at least 1; got {given.processes}")
    made = parser.instantiate(given)
    settings = Ablation(**{name: made[name] for name in Ablation.__dataclass_fields__})
    fixed = {name: value for name, value in asdict(settings).items() if name not in _GROWING}
    check_same_settings(given.out, yaml.safe_dump(fixed, sort_keys=False))
    run_ablation(settings, given.out, given.cache or given.out / "cache", given.processes, shlex.join(arguments))


def run_ablation(settings: Ablation, out: Path, cache: Path, processes: int, command: str) -> dict[str, Any]:
    """Run what is missing in `out`, and write results.json, results.md, contrasts.png and arms.png; returns the result."""
    arms = make_arms(settings)
    sweeps = {arm.name: arm for _, arm in make_sweeps(settings)}
    experiment = prepare(settings, cache, workers=processes - 1)
    seeds, sweep_seeds = settings.initialisations(settings.seeds), settings.initialisations(settings.sweep_seeds)
    # Seed by seed, so that what a stopped experiment has done can be compared.
    runs = [Run(arm, seed) for seed in seeds for arm in arms]
    runs += [Run(arm, seed) for seed in sweep_seeds for arm in sweeps]
    task = partial(_perform, experiment, arms | sweeps, out)
    _run_missing(task, [run for run in runs if not run.finished(out)], len(runs), processes)
    summaries, measured = {}, {}
    for name, arm in arms.items():
        summaries[name], measured[name] = summarise_arm(out, arm, seeds)
    found = {
        "tier": settings.tier,
        "part": settings.part,
        "data": experiment.description,
        "command": f"sma-net ablate {command}",
        "machine": describe_machine(),
        "seeds": seeds,
        "sweep_seeds": len(sweep_seeds),
        "arms": summaries,
        "chance": experiment.chance(),
        **compare(measured),
        "sweeps": {name: summarise_arm(out, arm, sweep_seeds)[0] for name, arm in sweeps.items()},
    }
    result: dict[str, Any] = to_jsonable(found)  # tables and pictures show what the file holds
    (out / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "results.md").write_text(markdown(result), encoding="utf-8")
    draw_contrasts(result, out / "contrasts.png")
    draw_arms(result, out / "arms.png")
    print(markdown(result))
    print(f"wrote {out / 'results.json'}, results.md, contrasts.png and arms.png")
    return result


def _perform(experiment: Experiment, arms: dict[str, Arm], out: Path, run: Run) -> None:
    scores, facts = experiment.run(arms[run.arm], run, out)
    run.write(out, scores, facts)


def _run_missing(task: Any, missing: list[Run], total: int, processes: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, speed_estimate_period=3600) as progress:
        bar = progress.add_task("arms and seeds", total=total, completed=total - len(missing))
        for _ in in_processes(task, missing, processes):
            progress.advance(bar)
