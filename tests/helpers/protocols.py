"""Shipped protocols on small copies of the databases."""

from sma_models.cli import main
from tests.helpers.checkpoints import SMALL
from tests.helpers.database_copies import write_bp4d, write_bp4dplus, write_bu3dfe, write_ckplus, write_disfa, write_mmi

WRITERS = {
    "bp4d": write_bp4d,
    "disfa": write_disfa,
    "ckplus": lambda root: write_ckplus(root, {(n, 1): (1, 5, 7)[n % 3] for n in range(1, 7)}),
    "mmi": lambda root: write_mmi(root, {str(n): (f"S{n:03d}-1.avi", 0, 1 + n % 2) for n in range(1, 5)}),
    "bu3dfe": lambda root: write_bu3dfe(root, ("F0001", "F0002", "M0001")),
    "bp4dplus": lambda root: write_bp4dplus(root, frames=9),
}


def small(manifest, config):
    """Arguments that make a shipped protocol tiny."""
    return ["--config", config, "--data.init_args.manifest", str(manifest), "--data.init_args.num_workers=0",
            "--data.init_args.batch_size=8", "--model.init_args.pretrained=false",
            *(f"--model.init_args.network.{name}={value}" for name, value in SMALL.items()),
            "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false"]  # fmt: skip


def checked(tmp_path, dataset):
    WRITERS[dataset](tmp_path / dataset)
    manifest = tmp_path / f"{dataset}.csv"
    main(["data", "check", "--dataset", dataset, "--root", str(tmp_path / dataset), "--manifest", str(manifest)])
    return manifest
