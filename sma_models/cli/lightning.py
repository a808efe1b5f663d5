"""`sma-net fit`, `validate` and `test`: Lightning's command line with this package's defaults and YAML files."""

import logging
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from sma_models.cli.score_report import ScoreReport
from sma_models.cli.settings_errors import Parser, one_line
from sma_models.data.base import FaceDataModule
from sma_models.models.checkpoint_io import previous_of
from sma_models.training.callbacks import LastEpoch, SelectedEpoch, csv_loggers
from sma_models.training.cross_dataset import prepare_test
from sma_models.training.task import FaceTask
from sma_models.utils.run_dir import LOG

LIMITS = ("max_epochs", "max_steps", "limit_train_batches")


class SMACLI(LightningCLI):
    """Tasks and data by class name; the seed of training is the seed of the data as well."""

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
                # Steps are not logged; Lightning would warn of epochs that are shorter than this.
                "log_every_n_steps": 1,
                # It lists measures beside the network, see `FaceTask.on_fit_start`.
                "enable_model_summary": False,
                "logger": {
                    "class_path": "lightning.pytorch.loggers.CSVLogger",
                    "init_args": {"save_dir": "runs", "name": "sma_net"},
                },
                "plugins": [{"class_path": "sma_models.models.checkpoint_io.AtomicCheckpointIO"}],
                # The data shard themselves, so that order depends on seed and epoch alone.
                "use_distributed_sampler": False,
            },
            parser_kwargs={"parser_mode": "yaml"},
            save_config_kwargs={"overwrite": True},
            args=args,
            run=run,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        # Lightning's own table of results, of many digits, comes below ours where it is verbose.
        return {name: LightningCLI.subcommands()[name] | {"verbose"} for name in ("fit", "validate", "test")}

    def fit(self, **arguments: Any) -> None:
        """With the log as it was where a run is refused to go on: Lightning's logger clears it before the data are read."""
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
        """Nothing: settings are not taken from checkpoints, and a damaged one is to be read by `AtomicCheckpointIO`."""

    def instantiate_classes(self) -> None:
        """As Lightning does, with the log in the folder of the command. config.yaml says how to begin such a run."""
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
        """A checkpoint's own network and action units are tested, on people whom it has not seen."""
        prepare_test(self.model, self.datamodule, self._checkpoint())

    def _checkpoint(self) -> str:
        """What is measured: an untrained network has no scores worth a table."""
        path = self.config[self.subcommand]["ckpt_path"]
        if path is None:
            raise ValueError("expected the checkpoint that is measured, --ckpt_path; got none")
        return path

    def after_fit(self) -> None:
        """Measure the chosen epoch on the test part, where there is one."""
        trainer: Any = self.trainer
        (chosen,) = (call.best_model_path for call in trainer.checkpoint_callbacks if isinstance(call, SelectedEpoch))
        if not chosen and not trainer.fast_dev_run:
            limits = ", ".join(f"{name} {getattr(trainer, name)}" for name in LIMITS)
            raise ValueError(f"nothing was trained, since a limit was reached before the first step: {limits}")
        rank_zero_info(f"the chosen epoch is {chosen}" if chosen else "fast_dev_run keeps nothing")
        if len(self.datamodule.splits.test):
            trainer.test(self.model, datamodule=self.datamodule, ckpt_path=chosen or None, verbose=False)


def _choose_folder(logger: Any, command: str, checkpoint: str | None) -> None:
    """Set the folder of a log where the settings leave it open: that of the run that goes on, or one of the command's own.

    logger: the settings of a logger, or True, False or None
    """
    where = getattr(logger, "init_args", None)
    if where is None or where.get("version", "none") is not None:
        return
    if command != "fit":
        where.name = f"{where.name}_{command}"
    elif checkpoint is not None and (folder := Path(checkpoint).absolute().parent).name == "checkpoints":
        run = folder.parent
        where.save_dir, where.name, where.version = str(run.parent.parent), run.parent.name, run.name


def run(arguments: Sequence[str], command: bool = True) -> SMACLI:
    """Run one command, or only read its settings; names of shipped YAML files stand for the files."""
    # Lightning warns whoever passes arguments while the process has some: here they are the same, with names resolved.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    # Of Lightning's own code, not of ours.
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    # It announces the loss of the log of a run that goes on; `LastEpoch` writes it anew.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_news)
    return SMACLI([shipped(argument) for argument in arguments], run=command)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of Lightning's says something about this run: not what else could be installed."""
    return not record.getMessage().startswith(("💡 Tip", "Loading `train_dataloader` to estimate"))


def shipped(argument: str) -> str:
    """`argument`, or the path of the shipped YAML file that it names where no file of that name is here."""
    option, equals, name = argument.rpartition("=")
    ours = files("sma_models") / "configs" / Path(name).name
    if option not in ("", "--config", "-c") or not name.endswith(".yaml") or Path(name).exists() or not ours.is_file():
        return argument
    return f"{option}{equals}{ours}"
