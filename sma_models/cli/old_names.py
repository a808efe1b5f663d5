"""Settings under names of earlier versions: accepted for one version, with a FutureWarning."""

import warnings
from collections.abc import Sequence
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

_DATABASES = {
    "bp4d": "BP4D",
    "bp4dplus": "BP4DPlus",
    "bu3dfe": "BU3DFE",
    "ckplus": "CKPlus",
    "disfa": "DISFA",
    "mmi": "MMI",
}
_TASKS = ("ActionUnitTask", "ExpressionTask", "FaceTask")
_CALLBACKS = ("SelectedEpoch", "LastEpoch")
CLASSES = {
    "sma_models.checkpoint_files.SafeCheckpoints": "sma_models.models.checkpoint_io.AtomicCheckpointIO",
    "sma_models.cli.lightning.ScoreReport": "sma_models.cli.score_report.ScoreReport",
    **{f"sma_models.task.{name}": f"sma_models.training.task.{name}" for name in _TASKS},
    **{f"sma_models.cli.callbacks.{name}": f"sma_models.training.callbacks.{name}" for name in _CALLBACKS},
    **{f"sma_models.data.{file}.{name}": f"sma_models.data.{name}" for file, name in _DATABASES.items()},
}
# Command -> old setting -> new setting, in the same group. Settings of classes are named without `init_args`.
SETTINGS = {
    # Also of validate, test and crossval.
    "fit": {"model.backbone_weights": "model.pretrained", "data.keep": "data.cache"},
    "ablate": {"tier": "protocol", "part": "phase"},
    "predict": {"aligned": "crops", "annotated": "save-annotated", "smooth": "smoothing"},
    "align": {"unrelated": "independent-images"},
    "data check": {"first_picture": "first_image"},
}
# Old setting -> old value -> new value.
VALUES = {"model.backbone_weights": {"none": False, "timm": True}}
_ANY_GROUP = "*"
_warned: set[str] = set()


def parser_mode(command: str) -> str:
    """A mode of jsonargparse's parsers for a command: YAML, read with the current names."""
    mode, load = f"yaml of {command}", get_loader("yaml")
    set_loader(mode, lambda text: current_settings(load(text), command), (yaml.YAMLError,))
    return mode


def current_settings(settings: Any, command: str, group: str = "") -> Any:
    """Parsed YAML with the current names of classes and settings.

    command: a key of `SETTINGS`
    group:   dotted name of the settings inside those of the command
    """
    if isinstance(settings, dict):
        return dict(_current_item(name, value, command, group) for name, value in settings.items())
    if isinstance(settings, list):
        return [current_settings(value, command, group) for value in settings]
    return _current_class(settings)


def _current_item(name: Any, value: Any, command: str, group: str) -> tuple[Any, Any]:
    if name == "init_args":
        # A file of one class, such as --data faces.yaml, does not name its group.
        return name, current_settings(value, command, group or _ANY_GROUP)
    for old, new in SETTINGS[command].items():
        old_group, _, old_name = old.rpartition(".")
        if name == old_name and group in (old_group, _ANY_GROUP):
            _warn(old, new)
            return new.rpartition(".")[2], _current_value(old, value)
    return name, current_settings(value, command, f"{group}.{name}" if group else str(name))


def current_arguments(arguments: Sequence[str], command: str) -> list[str]:
    """Command-line arguments with the current names of classes and settings; command: a key of `SETTINGS`."""
    current: list[str] = []
    setting = ""  # whose value comes next
    for argument in arguments:
        if not argument.startswith("--"):
            current.append(_text(_current_value(setting, argument)))
            setting = ""
            continue
        option, equals, value = argument.partition("=")
        setting = option.removeprefix("--").replace(".init_args.", ".")
        if setting in SETTINGS[command]:
            new = SETTINGS[command][setting]
            _warn(f"--{setting}", f"--{new}")
            option = option.removesuffix(setting.rpartition(".")[2]) + new.rpartition(".")[2]
        current.append(option + equals + _text(_current_value(setting, value)))
    return current


def _current_value(setting: str, value: Any) -> Any:
    return VALUES.get(setting, {}).get(value, _current_class(value)) if isinstance(value, str) else value


def _current_class(value: Any) -> Any:
    if not isinstance(value, str) or value not in CLASSES:
        return value
    _warn(value, CLASSES[value])
    return CLASSES[value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _warn(old: str, new: str) -> None:
    """Once per name: jsonargparse reads a file several times, and crossval reads it for every run."""
    name = old.removeprefix("--")
    if name not in _warned:
        _warned.add(name)
        message = f"{old} is now called {new}; the old name works for one more version"
        warnings.warn(message, FutureWarning, stacklevel=2)
