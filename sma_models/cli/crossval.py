"""`sma-net crossval`: trains and tests every fold with every seed, and aggregates the results."""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.cli.lightning import SMACLI, run
from sma_models.cli.old_names import current_settings
from sma_models.data.csv_table import CSVTable
from sma_models.data.face_table import FaceTable
from sma_models.data.position import digest
from sma_models.figures.style import save
from sma_models.metrics.aggregate import Runs, summarize
from sma_models.metrics.predictions import PREDICTIONS, Predictions, read_predictions
from sma_models.report.crossval_summary import draw_crossval, markdown
from sma_models.utils.jsonable import to_jsonable
from sma_models.utils.run_dir import check_same_settings
from sma_models.utils.text_files import read_json


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net crossval`; further arguments are those of `sma-net fit`."""
    parser = argparse.ArgumentParser(
        prog="sma-net crossval",
        description="Train and test every fold with every seed. An interrupted run resumes. Other "
        "arguments are those of `sma-net fit`, such as --config ckplus_10fold.yaml.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="such as 0,1,2")
    parser.add_argument("--folds", type=_unique_words, help="such as P1,P3; all by default")
    args, rest = parser.parse_known_args(list(arguments))
    cli = run(rest, command=False)
    fold_names = cli.datamodule.fold_names()
    folds = args.folds or fold_names
    if set(folds) - set(fold_names):
        parser.error(f"--folds must be among {','.join(fold_names)}; got {','.join(folds)}")
    cli.datamodule.fold = folds[0]
    faces, _ = cli.datamodule.load()
    # Runs on other labels, or on other folds, must not be pooled with existing ones.
    settings = f"{cli.parser.dump(cli.config, skip_none=False)}# faces {digest(_identity(faces))}\n"
    check_same_settings(args.out, settings, partial(current_settings, command="fit"))
    runs: Runs = []
    for seed in args.seeds:
        runs.append([_train_fold(args.out, rest, fold, seed) for fold in folds])
    if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        return
    write_results(args.out, describe(cli, args.out, folds, args.seeds), runs)


def _identity(faces: FaceTable) -> Iterator[NDArray[Any]]:
    """The identity of a data set: labels, names and splits, but not its folder."""
    yield from (faces.labels, faces.subjects, faces.sequences, faces.frames, faces.detected)
    if isinstance(faces, CSVTable):
        yield np.array([image.removeprefix(f"{faces.root}/") for image in faces.images])
        yield from (column for column in (faces.folds, faces.splits) if column is not None)


def _unique_words(text: str) -> list[str]:
    """Comma-separated words. A repeated fold or seed would be counted twice, so it is an error."""
    words = [word.strip() for word in text.split(",")]
    if len(set(words)) < len(words):
        raise argparse.ArgumentTypeError(f"expected each value once; got {text}")
    return words


def _seeds(text: str) -> list[int]:
    words = _unique_words(text)
    if not all(word.isascii() and word.isdigit() for word in words) or len(set(map(int, words))) < len(words):
        raise argparse.ArgumentTypeError(f"expected distinct whole numbers of at least 0, such as 0,1,2; got {text}")
    return [int(word) for word in words]


def _run_folder(out: Path, fold: str, seed: int) -> Path:
    """The folder of a run; the name of a fold may contain any characters."""
    return out / f"fold_{quote(fold, safe=' ')}" / f"seed_{seed}"


def _train_fold(out: Path, arguments: list[str], fold: str, seed: int) -> Predictions:
    folder = _run_folder(out, fold, seed)
    if not (folder / PREDICTIONS).is_file():
        # `last` in a folder without one would silently start from scratch, or fail.
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
    """The description printed above the tables of results."""
    scores = read_json(_run_folder(out, folds[0], seeds[0]) / "scores_test.json")
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
    save(draw_crossval(result), out / "results.png")
    print(text)
    print(f"wrote {out / 'results.json'}, results.md and results.png")
