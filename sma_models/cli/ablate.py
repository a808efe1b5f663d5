"""`sma-net ablate`: runs every arm with every seed, and compares the arms."""

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
from sma_models.ablation.result_plots import draw_arms, draw_contrasts
from sma_models.ablation.result_tables import markdown
from sma_models.ablation.run_files import ArmRun, in_processes
from sma_models.ablation.summary import compare, summarize_arm
from sma_models.cli.lightning import shipped
from sma_models.cli.old_names import current_arguments, current_settings, parser_mode
from sma_models.utils.cpu import available_cpus
from sma_models.utils.environment import describe_machine
from sma_models.utils.jsonable import to_jsonable
from sma_models.utils.run_dir import check_same_settings

# Settings that may change when an experiment resumes: results already on disk stay valid.
_EXTENDABLE = ("seeds", "sweep_seeds", "sweeps")


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net ablate`."""
    parser = ArgumentParser(
        prog="sma-net ablate",
        description="Compare the parts of the attention head with paired seeds. An interrupted run resumes; seeds may be "
        "added to a finished one.",
        parser_mode=parser_mode("ablate"),
    )
    parser.add_argument("--config", action="config", help="a YAML file, such as ablation_heads.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument(
        "--cache", type=Path, help="folder of features, to share between experiments; default: inside --out"
    )
    parser.add_argument(
        "--processes", type=int, default=available_cpus(), help="number of parallel runs, with one thread each"
    )
    parser.add_class_arguments(Ablation, as_group=False)
    args = parser.parse_args([shipped(argument) for argument in current_arguments(arguments, "ablate")])
    if args.processes < 1:
        parser.error(f"--processes must be at least 1; got {args.processes}")
    instances = parser.instantiate(args)
    settings = Ablation(**{name: instances[name] for name in Ablation.__dataclass_fields__})
    _check_settings(args.out, settings)
    run_ablation(settings, args.out, args.cache or args.out / "cache", args.processes, shlex.join(arguments))


def _check_settings(out: Path, settings: Ablation) -> None:
    """ValueError if `out` belongs to other settings."""
    fixed = {name: value for name, value in asdict(settings).items() if name not in _EXTENDABLE}
    check_same_settings(out, yaml.safe_dump(fixed, sort_keys=False), partial(current_settings, command="ablate"))


def run_ablation(settings: Ablation, out: Path, cache: Path, processes: int, command: str) -> dict[str, Any]:
    """Run what is missing in `out`; write results.json, results.md, contrasts.png and arms.png. Returns the result."""
    arms = make_arms(settings)
    sweeps = {arm.name: arm for _, arm in make_sweeps(settings)}
    experiment = prepare(settings, cache, workers=processes - 1)
    seeds, sweep_seeds = settings.init_seeds(settings.seeds), settings.init_seeds(settings.sweep_seeds)
    # Seed by seed, so that the arms of an interrupted experiment can be compared.
    runs = [ArmRun(arm, seed) for seed in seeds for arm in arms]
    runs += [ArmRun(arm, seed) for seed in sweep_seeds for arm in sweeps]
    task = partial(_perform, experiment, arms | sweeps, out)
    _run_missing(task, [run for run in runs if not run.finished(out)], len(runs), processes)
    summaries, measured = {}, {}
    for name, arm in arms.items():
        summaries[name], measured[name] = summarize_arm(out, arm, seeds)
    content = {
        "protocol": settings.protocol,
        "phase": settings.phase,
        "data": experiment.description,
        "command": f"sma-net ablate {command}",
        "environment": describe_machine(),
        "seeds": seeds,
        "sweep_seeds": len(sweep_seeds),
        "arms": summaries,
        "chance": experiment.chance(),
        **compare(measured),
        "sweeps": {name: summarize_arm(out, arm, sweep_seeds)[0] for name, arm in sweeps.items()},
    }
    result: dict[str, Any] = to_jsonable(content)  # tables and figures show the same values as the file
    (out / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "results.md").write_text(markdown(result), encoding="utf-8")
    draw_contrasts(result, out / "contrasts.png")
    draw_arms(result, out / "arms.png")
    print(markdown(result))
    print(f"wrote {out / 'results.json'}, results.md, contrasts.png and arms.png")
    return result


def _perform(experiment: Experiment, arms: dict[str, Arm], out: Path, run: ArmRun) -> None:
    scores, facts = experiment.run(arms[run.arm], run, out)
    run.write(out, scores, facts)


def _run_missing(task: Any, missing: list[ArmRun], total: int, processes: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, speed_estimate_period=3600) as progress:
        bar = progress.add_task("arms and seeds", total=total, completed=total - len(missing))
        for _ in in_processes(task, missing, processes):
            progress.advance(bar)
