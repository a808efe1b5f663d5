"""`sma-net crossval`: every fold and seed, trained and tested, and what they say together."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.cli.lightning import SMACLI, run
from sma_models.cli.old_names import rename_in_file
from sma_models.data.base import FaceTable
from sma_models.data.csv_table import CSVTable
from sma_models.data.position import digest
from sma_models.figures.style import save
from sma_models.metrics.aggregate import Runs, summarize
from sma_models.metrics.predictions import PREDICTIONS, Predictions, read_predictions
from sma_models.report.crossval_summary import draw, markdown
from sma_models.utils.jsonable import to_jsonable
from sma_models.utils.run_dir import SETTINGS, check_same_settings
from sma_models.utils.text_files import read_json


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net crossval`; arguments that it does not know are those of `sma-net fit`."""
    parser = argparse.ArgumentParser(
        prog="sma-net crossval",
        description="Train and test every fold with every seed. A run that was stopped resumes. Other "
        "arguments are those of `sma-net fit`, such as --config ckplus_10fold.yaml.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="such as 0,1,2")
    parser.add_argument("--folds", type=_different, help="such as P1,P3; all by default")
    given, rest = parser.parse_known_args(list(arguments))
    cli = run(rest, command=False)
    known = cli.datamodule.fold_names()
    folds = given.folds or known
    if set(folds) - set(known):
        parser.error(f"--folds must be among {','.join(known)}; got {','.join(folds)}")
    cli.datamodule.fold = folds[0]
    faces, _ = cli.datamodule.load()
    # Runs on other labels, or on other folds of the same file, would be pooled with the existing ones.
    rename_in_file(given.out / SETTINGS)
    check_same_settings(given.out, f"{cli.parser.dump(cli.config, skip_none=False)}# faces {digest(_columns(faces))}\n")
    runs: Runs = []
    for seed in given.seeds:
        runs.append([_one(given.out, rest, fold, seed) for fold in folds])
    if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        return
    write_results(given.out, describe(cli, given.out, folds, given.seeds), runs)


def _columns(faces: FaceTable) -> Iterator[NDArray[Any]]:
    """What tells faces from others: labels, names and parts, but not the folder that they lie in."""
    yield from (faces.labels, faces.subjects, faces.sequences, faces.frames, faces.found)
    if isinstance(faces, CSVTable):
        yield np.array([image.removeprefix(f"{faces.root}/") for image in faces.images])
        yield from (parts for parts in (faces.folds, faces.splits) if parts is not None)


def _different(text: str) -> list[str]:
    """Words between commas. A fold or seed that is there twice would be counted twice."""
    words = [word.strip() for word in text.split(",")]
    if len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"expected each one once; got {text}")
    return words


def _seeds(text: str) -> list[int]:
    words = _different(text)
    if not all(word.isascii() and word.isdigit() for word in words) or len(set(map(int, words))) < len(words):
        raise argparse.ArgumentTypeError(f"expected different whole numbers from 0 on, such as 0,1,2; got {text}")
    return [int(word) for word in words]


def _folder(out: Path, fold: str, seed: int) -> Path:
    """Where a run lies; a fold may be named by any string."""
    return out / f"fold_{quote(fold, safe=' ')}" / f"seed_{seed}"


def _one(out: Path, arguments: list[str], fold: str, seed: int) -> Predictions:
    folder = _folder(out, fold, seed)
    if not (folder / PREDICTIONS).is_file():
        # `last` in a folder without one would silently start anew, or not at all.
        resume = ["--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
        run(
            [
                "fit",
                *arguments,
                f"--data.init_args.fold={fold}",
                f"--seed_everything={seed}",
                "--trainer.logger=CSVLogger",
                f"--trainer.logger.save_dir={folder.parent}",
                "--trainer.logger.name=",
                f"--trainer.logger.version={folder.name}",
                *(resume if Path(resume[1]).is_file() else []),
            ]
        )
    return read_predictions(folder / PREDICTIONS)


def describe(cli: SMACLI, out: Path, folds: list[str], seeds: list[int]) -> dict[str, Any]:
    """What a table of results must say of itself."""
    scores = read_json(_folder(out, folds[0], seeds[0]) / "scores_test.json")
    keys = ("protocol", "alignment", "selection", "starts_from", "regions")
    return {key: scores[key] for key in keys} | {
        "protocol": scores["protocol"].partition(", fold ")[0],
        "people": cli.datamodule.people,
        "kind": cli.model.kind,
        "folds": folds,
        "seeds": seeds,
    }


def write_results(out: Path, facts: dict[str, Any], runs: Runs) -> None:
    """results.json, results.md and results.png."""
    result = facts | summarize(runs, facts["kind"])
    (out / "results.json").write_text(json.dumps(to_jsonable(result), indent=1) + "\n", encoding="utf-8")
    text = markdown(result)
    (out / "results.md").write_text(text, encoding="utf-8")
    save(draw(result), out / "results.png")
    print(text)
    print(f"wrote {out / 'results.json'}, results.md and results.png")
