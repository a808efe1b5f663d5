"""Prints the scores of a test or validation run, and writes them next to its log."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from sma_models.metrics.predictions import PREDICTIONS, predictions_of, write_predictions
from sma_models.report.score_tables import print_scores, scores_as_dict


class ScoreReport(Callback):
    """Prints the table of a finished test or validation run, and writes it next to the log as scores_<split>.json, with the
    test predictions as answers_test.npz."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = self._report(trainer, pl_module, "test")
        if folder is not None:
            write_predictions(predictions_of(pl_module), folder / PREDICTIONS)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.training and not trainer.sanity_checking and trainer.state.fn == "validate":
            self._report(trainer, pl_module, "val")

    def _report(self, trainer: Trainer, task: Any, split: str) -> Path | None:
        """The folder that the first process writes to; None in other processes, or without a log."""
        # Reading `log_dir` is a broadcast: every process must do it.
        log_dir = trainer.log_dir
        if not trainer.is_global_zero:
            return None
        print_scores(task, split)
        if log_dir is None:
            return None
        folder = Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"scores_{split}.json").write_text(json.dumps(scores_as_dict(task, split), indent=1) + "\n")
        return folder
