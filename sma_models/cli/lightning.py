"""`sma-net fit`, `validate` and `test`: LightningCLI with this package's defaults and YAML files."""

import logging
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

import sma_models.training.task  # noqa: F401 the tasks, so that class names without a module are found
from sma_models.cli.old_names import current_arguments, parser_mode
from sma_models.cli.score_report import ScoreReport
from sma_models.cli.settings_errors import Parser, one_line
from sma_models.data.data_module import FaceDataModule
from sma_models.models.checkpoint_io import previous_of
from sma_models.training.callbacks import LastEpoch, SelectedEpoch, csv_loggers
from sma_models.training.cross_dataset import prepare_test
from sma_models.training.face_task import FaceTask
from sma_models.utils.run_dir import LOG

LIMITS = ("max_epochs", "max_steps", "limit_train_batches")


class SMACLI(LightningCLI):
    """LightningCLI for tasks and data by class name; the seed of training is also the seed of the data."""

    def __init__(self, args: ArgsType, run: bool = True) -> None:
        super().__init__(
            FaceTask,
            FaceDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            parser_class=Parser,
            trainer_defaults={
                "max_epochs": 20,
                # Steps are not logged, but Lightning warns of epochs shorter than this.
                "log_every_n_steps": 1,
                # It would list metrics as well as the network; `FaceTask.on_fit_start` prints what matters.
                "enable_model_summary": False,
                "logger": {
                    "class_path": "lightning.pytorch.loggers.CSVLogger",
                    "init_args": {"save_dir": "runs", "name": "sma_net"},
                },
                "plugins": [{"class_path": "sma_models.models.checkpoint_io.AtomicCheckpointIO"}],
                # The data module shards the samples itself, so that their order depends only on seed and epoch.
                "use_distributed_sampler": False,
            },
            parser_kwargs={"parser_mode": parser_mode("fit")},
            save_config_kwargs={"overwrite": True},
            args=args,
            run=run,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        # With `verbose`, Lightning's own table of results, with many digits, would follow ours.
        return {name: LightningCLI.subcommands()[name] | {"verbose"} for name in ("fit", "validate", "test")}

    def fit(self, **arguments: Any) -> None:
        """Train; if a run cannot resume, restore its log, which Lightning's logger clears before the data are read."""
        trainer: Any = self.trainer
        logs = [Path(logger.log_dir) / LOG for logger in csv_loggers(trainer)]
        rows = {log: log.read_bytes() for log in logs if log.is_file()}
        try:
            trainer.fit(**arguments)
        except Exception:
            for log, content in rows.items():
                if not log.exists():
                    log.write_bytes(content)
            raise

    def validate(self, **arguments: Any) -> None:
        self.trainer.validate(**arguments, verbose=False)

    def test(self, **arguments: Any) -> None:
        self.trainer.test(**arguments, verbose=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(SelectedEpoch, "checkpoint")
        parser.add_lightning_class_args(LastEpoch, "last")
        parser.add_lightning_class_args(ScoreReport, "report")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def _parse_ckpt_path(self) -> None:
        """Do nothing: settings do not come from checkpoints, and `AtomicCheckpointIO` must read a damaged one."""

    def instantiate_classes(self) -> None:
        """As Lightning does, with the log in the command's folder; config.yaml describes how to start such a run anew."""
        written = self.config.clone()
        if self.subcommand is not None:
            settings = self.config[self.subcommand]
            loggers = settings.trainer.logger
            for logger in loggers if isinstance(loggers, list) else [loggers]:
                _choose_folder(logger, self.subcommand, settings.ckpt_path)
            if self.subcommand == "fit":
                written.fit.ckpt_path = None
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise ValueError(one_line(str(error))) from error
        trainer: Any = self.trainer
        for callback in trainer.callbacks:
            if isinstance(callback, SaveConfigCallback):
                callback.config = written.get(str(self.subcommand), written)

    def before_fit(self) -> None:
        path = self.config["fit"]["ckpt_path"]
        if path is not None and not (Path(path).is_file() or previous_of(path).is_file()):
            raise FileNotFoundError(f"there is no checkpoint {path}")

    def before_validate(self) -> None:
        self._checkpoint()

    def before_test(self) -> None:
        """Test the checkpoint's own network and action units, on unseen subjects."""
        prepare_test(self.model, self.datamodule, self._checkpoint())

    def _checkpoint(self) -> str:
        """The checkpoint to test or validate: scores of an untrained network are meaningless."""
        path = self.config[self.subcommand]["ckpt_path"]
        if path is None:
            raise ValueError(f"--ckpt_path is required: the checkpoint to {self.subcommand}")
        return path

    def after_fit(self) -> None:
        """Test the selected epoch on the test split, if there is one."""
        trainer: Any = self.trainer
        (best,) = (call.best_model_path for call in trainer.checkpoint_callbacks if isinstance(call, SelectedEpoch))
        if not best and not trainer.fast_dev_run:
            limits = ", ".join(f"{name} {getattr(trainer, name)}" for name in LIMITS)
            raise ValueError(f"nothing was trained: a limit was reached before the first step: {limits}")
        rank_zero_info(f"the selected epoch is {best}" if best else "fast_dev_run saves nothing")
        if len(self.datamodule.splits.test):
            trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best or None, verbose=False)


def _choose_folder(logger: Any, command: str, checkpoint: str | None) -> None:
    """Set the folder of a log unless the settings do: the folder of the resumed run, or the command's own.

    logger: the settings of a logger, or True, False or None
    """
    target = getattr(logger, "init_args", None)
    if target is None or target.get("version", "none") is not None:
        return
    if command != "fit":
        target.name = f"{target.name}_{command}"
    elif checkpoint is not None and (folder := Path(checkpoint).absolute().parent).name == "checkpoints":
        run = folder.parent
        target.save_dir, target.name, target.version = str(run.parent.parent), run.parent.name, run.name


def run(arguments: Sequence[str], command: bool = True) -> SMACLI:
    """Run one command, or only parse its settings; shipped YAML files may be given by name."""
    # Lightning warns if arguments are passed while the process has some: here they are the same, with names resolved.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    # Raised by Lightning's own code.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # Lightning clears the log of a resumed run; `LastEpoch` rewrites it.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_news)
    return SMACLI([shipped(argument) for argument in current_arguments(arguments, "fit")], run=command)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of Lightning's is about this run, rather than a tip."""
    return not record.getMessage().startswith(("💡 Tip", "Loading `train_dataloader` to estimate"))


def shipped(argument: str) -> str:
    """`argument`, or the path of the shipped YAML file that it names, unless there is a local file of that name."""
    option, equals, name = argument.rpartition("=")
    shipped_file = files("sma_models") / "configs" / Path(name).name
    if (
        option not in ("", "--config", "-c")
        or not name.endswith(".yaml")
        or Path(name).exists()
        or not shipped_file.is_file()
    ):
        return argument
    return f"{option}{equals}{shipped_file}"
