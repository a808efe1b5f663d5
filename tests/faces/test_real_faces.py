"""Photographs with crowd-sourced labels, if present: they are not part of the repository.

They are expected in $SMA_REAL_FACES, else in ../shared/data/real_faces next to the repository.
"""

import os
from pathlib import Path

import pytest
import torch

from sma_models.cli.lightning import run
from sma_models.data import CSVFaces

FOLDER = Path(os.environ.get("SMA_REAL_FACES", Path(__file__).parents[3] / "shared" / "data" / "real_faces"))
pytestmark = [
    pytest.mark.skipif(not (FOLDER / "labels.csv").is_file(), reason=f"no photographs in {FOLDER}"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def data():
    data = CSVFaces(str(FOLDER / "labels.csv"), num_workers=0, image_size=96)
    data.setup("fit")
    return data


def test_every_photograph_is_in_one_part_and_every_person_too(data):
    assert data.faces.regions == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    parts = [set(data.faces.subjects[part]) for part in data.splits]
    assert sum(map(len, data.splits)) == len(data.faces) == 1437
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert torch.bincount(torch.from_numpy(data.faces.labels)).tolist() == [33, 54, 4, 600, 600, 59, 87]


def test_photographs_fill_the_network_input(data):
    sample = data._dataset("test", "none")[0, 0]["image"]
    assert sample.shape == (3, 96, 96)
    assert sample.float().std() > 10


def test_the_shipped_configuration_trains_on_them(tmp_path):
    """Only a few steps; the command in docs/real_faces.json measures whether it learns."""
    cli = run(
        [
            *("fit", "--config", "csv_fer.yaml", "--data.csv", str(FOLDER / "labels.csv")),
            *("--data.num_workers=0", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"),
            *("--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1", "--trainer.limit_test_batches=2"),
            f"--trainer.logger.save_dir={tmp_path}",
        ]
    )
    assert cli.model.network.regions == cli.datamodule.faces.regions
    assert int(cli.model.scores.confusion.sum()) == 64
    assert 0 < cli.model.scores.majority_accuracy < 1
