"""`sma-net fit`, `validate` and `test`: Lightning's command line with this package's defaults and YAML files."""

import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from sma_models.cli.callbacks import LastEpoch, ScoreReport, SelectedEpoch
from sma_models.cross_test import prepare_test
from sma_models.data.base import FaceData
from sma_models.task import FaceTask


class SMACLI(LightningCLI):
    """Tasks and data by class name; the seed of training is the seed of the data as well."""

    def __init__(self, args: ArgsType, run: bool = True) -> None:
        super().__init__(
            FaceTask,
            FaceData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            trainer_defaults={
                "max_epochs": 20,
                "log_every_n_steps": 10,
                "logger": {
                    "class_path": "lightning.pytorch.loggers.CSVLogger",
                    "init_args": {"save_dir": "runs", "name": "sma_net"},
                },
                "plugins": [{"class_path": "sma_models.checkpoint_files.SafeCheckpoints"}],
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
        return {name: LightningCLI.subcommands()[name] for name in ("fit", "validate", "test")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(SelectedEpoch, "checkpoint")
        parser.add_lightning_class_args(LastEpoch, "last")
        parser.add_lightning_class_args(ScoreReport, "report")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def before_test(self) -> None:
        """A checkpoint's own network and action units are tested, on people whom it has not seen."""
        path = self.config["test"]["ckpt_path"]
        if path is None:
            raise ValueError("expected the checkpoint that is tested, --ckpt_path; got none")
        prepare_test(self.model, self.datamodule, path)

    def after_fit(self) -> None:
        """Measure the chosen epoch on the test part, where there is one."""
        callbacks: list[Any] = self.trainer.checkpoint_callbacks
        (chosen,) = (callback.best_model_path for callback in callbacks if isinstance(callback, SelectedEpoch))
        rank_zero_info(f"the chosen epoch is {chosen}")
        if len(self.datamodule.parts.test):
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=chosen, verbose=False)


def run(arguments: Sequence[str], command: bool = True) -> SMACLI:
    """Run one command, or only read its settings; names of shipped YAML files stand for the files."""
    # Lightning warns whoever passes arguments while the process has some: here they are the same, with names resolved.
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    return SMACLI([shipped(argument) for argument in arguments], run=command)


def shipped(argument: str) -> str:
    """`argument`, or the path of the shipped YAML file that it names where no file of that name is here."""
    option, equals, name = argument.rpartition("=")
    ours = files("sma_models") / "configs" / Path(name).name
    if option not in ("", "--config", "-c") or not name.endswith(".yaml") or Path(name).exists() or not ours.is_file():
        return argument
    return f"{option}{equals}{ours}"
