"""`sma-net demo`: train SMA-Net from scratch on synthetic faces, and show what it learned."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from rich.console import Console

from sma_models.data import SyntheticFaceData
from sma_models.figures.ground_truth import draw_ground_truth
from sma_models.figures.style import save
from sma_models.figures.training_curves import draw_curves
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import NetworkConfig
from sma_models.report.score_tables import au_table, scores_as_dict
from sma_models.training.callbacks import SelectedEpoch
from sma_models.training.optimizer import OptimizerConfig
from sma_models.training.task import ActionUnitTask
from sma_models.utils.run_dir import LOG

CHECKPOINT, CURVES, FACES, RESULT = "best.ckpt", "curves.png", "faces.png", "result.json"


@dataclass(frozen=True)
class DemoSettings:
    """Size of the demo; the defaults take three to four minutes on two cores."""

    train: int = 4000
    val: int = 600
    test: int = 1000
    subjects: int = 200
    image_size: int = 96
    epochs: int = 5
    workers: int = 1
    seed: int = 0


def main(arguments: Sequence[str]) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser("sma-net demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for the results (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and augmentation (%(default)s)")
    parser.add_argument("--force", action="store_true", help="train again even if results exist")
    args = parser.parse_args(arguments)
    run_demo(args.out, DemoSettings(seed=args.seed), force=args.force)


def run_demo(out: Path, settings: DemoSettings, *, force: bool = False) -> dict[str, Any]:
    """Train, test and draw into `out`, or show existing results of the same settings; returns result.json."""
    console = Console()
    result = _finished(out, settings)
    if result is None or force:
        result = _train(out, settings)
    else:
        console.print(f"{out} contains a finished demo; use --force to train again, or --out for another folder.")
    title = f"{result['faces']} faces of {settings.subjects} unseen subjects"
    console.print(au_table(title, result["regions"], result["scores"]))
    console.print("F1 at thresholds chosen on validation subjects; the best constant guess is 'always present'.")
    console.print(f"trained in {result['seconds']:.0f} s on {result['threads']} threads")
    for name, description in ((CHECKPOINT, "checkpoint"), (CURVES, "curves"), (FACES, "attention"), (RESULT, "scores")):
        console.print(f"  {description:10s} {out / name}", soft_wrap=True)
    console.print(f"  everything on one page: sma-net report {out}", soft_wrap=True)
    return result


def _finished(out: Path, settings: DemoSettings) -> dict[str, Any] | None:
    """The results of a run with these settings in `out`, or None."""
    if not all((out / name).is_file() for name in (CHECKPOINT, CURVES, FACES, RESULT)):
        return None
    result = json.loads((out / RESULT).read_text())
    return result if result["settings"] == asdict(settings) else None


def make_data(settings: DemoSettings) -> SyntheticFaceData:
    """The synthetic faces of the demo."""
    return SyntheticFaceData(
        train=settings.train,
        val=settings.val,
        test=settings.test,
        subjects=settings.subjects,
        cache=True,
        batch_size=32,
        num_workers=settings.workers,
        seed=settings.seed,
    )


def make_task(settings: DemoSettings) -> ActionUnitTask:
    """The network and its training; stride 8, since attention on smaller maps would be too coarse to see."""
    return ActionUnitTask(
        network=NetworkConfig(backbone="resnet10t", stage=2, image_size=settings.image_size),
        optimizer=OptimizerConfig(lr=3e-3, weight_decay=0.02, warmup_epochs=0.5),
    )


def _train(out: Path, settings: DemoSettings) -> dict[str, Any]:
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    # The result is written last: it marks the run as finished.
    (out / RESULT).unlink(missing_ok=True)
    lightning.seed_everything(settings.seed, verbose=False)
    data, task = make_data(settings), make_task(settings)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=settings.epochs,
        logger=CSVLogger(out, name="", version=""),
        callbacks=[SelectedEpoch(str(out)), TQDMProgressBar()],
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, ckpt_path=str(out / CHECKPOINT), verbose=False)
    save(draw_curves([out / LOG]), out / CURVES)
    _, network = load_checkpoint(out / CHECKPOINT)
    save(draw_ground_truth(network, data), out / FACES)
    result = {
        **scores_as_dict(task, "test"),
        "settings": asdict(settings),
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
    }
    (out / RESULT).write_text(json.dumps(result, indent=1) + "\n")
    return result
