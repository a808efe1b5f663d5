"""Binds a folder of results to the settings that it was created with."""

from pathlib import Path

SETTINGS = "settings.yaml"
LOG = "metrics.csv"  # one row per logged step, in every folder of a training run


def check_same_settings(out: Path, settings: str) -> None:
    """Store the settings in the folder; ValueError if it was created with different ones."""
    path = out / SETTINGS
    if path.is_file() and path.read_text(encoding="utf-8") != settings:
        raise ValueError(
            f"{out} was created with different settings or faces (see {path}); use the same ones or another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(settings, encoding="utf-8")
