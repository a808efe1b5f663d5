"""Wherever crops are used, it is known whether a face was found in their source."""

import json
import shutil

import numpy as np
import pytest

from sma_models.cli import main
from sma_models.cli.lightning import run
from sma_models.data import CSVFaces
from sma_models.data.crops import Crops, detected_faces
from sma_models.data.databases.bp4d import BP4D, index_bp4d
from sma_models.faces.predictor import FacePredictor
from sma_models.figures.network_figures import image_paths, network_figures
from sma_models.report.run_results import read_run
from tests.faces.test_predict import run as predict
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.database_copies import loaded, write_bp4d
from tests.helpers.face_images import drawn, save
from tests.helpers.face_sets import TINY, write_csv

PEOPLE = 4
FACELESS = "person/3.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Crops of faces of three people and of a grey image, and a CSV file next to their folder."""
    folder = tmp_path_factory.mktemp("aligned")
    for n in range(PEOPLE):
        save(folder / f"photos/person/{n}.png", drawn(n)[0] if n < 3 else np.full((99, 99, 3), 90, np.uint8))
    main(["align", str(folder / "photos"), str(folder / "crops"), "--independent-images", "--workers", "1"])
    write_checkpoint(folder / "model.ckpt")
    return folder


def table(folder, prefix, **columns):
    rows = [
        {"image": f"{prefix}{n}.jpg", "subject": f"p{n}", "expression": "pq"[n % 2]}
        | {name: cells[n] for name, cells in columns.items()}
        for n in range(PEOPLE)
    ]
    return write_csv(folder / "faces.csv", rows)


@pytest.mark.parametrize(
    ("prefix", "root"), [("person/", "crops"), ("", "crops/person"), ("crops/person/", None), ("crops/person/", ".")]
)
def test_a_csv_of_crops_knows_how_they_were_made(folder, prefix, root):
    data = CSVFaces(table(folder, prefix), None if root is None else folder / root, fold="all")
    data.setup("test")
    assert data.faces.detected.tolist() == [True, True, True, False]
    assert data.alignment == {"template": "eyes", "detector": "cascade", "size": 256}


def test_a_column_found_is_believed(folder):
    data = CSVFaces(table(folder, "crops/person/", found="0110"), fold="all")
    data.setup("test")
    assert data.faces.detected.tolist() == [False, True, True, False]
    with pytest.raises(ValueError, match=r"faces\.csv, line 3: found is 'no'; expected 0, 1, false or true"):
        CSVFaces(table(folder, "crops/person/", found=["1", "no", "1", "1"]), fold="all").setup("test")


def test_images_made_elsewhere_are_taken_for_faces(folder):
    data = CSVFaces(table(folder, "photos/person/").rename(folder / "jpg.csv"), fold="all")
    for n in range(PEOPLE):
        save(folder / f"photos/person/{n}.jpg", drawn(0)[0])
    data.setup("test")
    assert data.faces.detected.all() and data.alignment is None
    # An image added to the folder later does not count as a crop.
    shutil.copy(folder / "crops/person/0.jpg", folder / "crops/person/late.jpg")
    assert Crops().of(folder / "crops/person/late.jpg") is None
    (folder / "crops/person/late.jpg").unlink()
    for n in range(PEOPLE):
        (folder / f"photos/person/{n}.jpg").unlink()


def test_what_is_aligned_in_part_or_has_boxes_is_refused(folder):
    images = [f"crops/person/{n}.jpg" for n in range(3)] + ["photos/person/3.png"]
    with pytest.raises(
        ValueError, match=r"expected images that are all aligned in the same way; got 3 eyes at 256 pix"
    ):
        CSVFaces(table(folder, "", image=images), fold="all").setup("test")
    boxes = {name: ["9"] * PEOPLE for name in ("x", "y", "width", "height")}
    with pytest.raises(ValueError, match="have no face box; expected no columns x, y, width, height"):
        CSVFaces(table(folder, "crops/person/", **boxes), fold="all").setup("test")


def test_a_row_that_was_cut_off_and_settings_that_are_none(folder, tmp_path):
    shutil.copytree(folder / "crops", tmp_path / "crops")
    with (tmp_path / "crops/alignment.csv").open("a") as file:
        file.write("person/4.jpg,person/4")
    assert detected_faces([tmp_path / "crops/person/0.jpg", tmp_path / "crops" / FACELESS]).tolist() == [True, False]
    (tmp_path / "crops/alignment.json").write_text('{"template": ')
    with pytest.raises(ValueError, match=r"alignment\.json, line 1: not valid JSON"):
        detected_faces([tmp_path / "crops/person/0.jpg"])


def test_scores_and_their_report_count_what_shows_no_face(folder, tmp_path):
    path = table(folder, "person/", split=["train", "train", "test", "test"])
    sizes = [f"--model.network.{name}={value}" for name, value in TINY.items()]
    run(
        [
            *("fit", "--config", "csv_fer.yaml", "--data.csv", str(path), "--data.root", str(folder / "crops"), *sizes),
            *("--data.selection=last", "--data.num_workers=0", "--trainer.max_epochs=1"),
            *("--trainer.enable_progress_bar=false", f"--trainer.logger.save_dir={tmp_path}"),
        ]
    )
    (scores,) = tmp_path.rglob("scores_test.json")
    assert json.loads(scores.read_text())["without_a_face"] == 1
    message = read_run(scores.parent).scores[0].text
    assert "test split, 2 faces, 1 of them without a detected face" in message


@pytest.mark.parametrize("source", ["crops", "crops/person", f"crops/{FACELESS}"])
def test_predictions_of_crops_tell_where_no_face_was_found(folder, source, capsys):
    rows = predict(folder / "model.ckpt", folder / source, "--crops")
    assert {row["source"].rpartition("/")[2]: row["found"] for row in rows}["3.jpg"] == "0"
    # The network predicts on it, as in a test.
    assert all(float(row["AU1"]) >= 0 for row in rows)
    faces = len(rows) - 1
    assert f"{len(rows)} frames, {faces} faces, 1 frames without a detected face" in capsys.readouterr().err
    assert sum(row["found"] == "1" for row in rows) == faces


@pytest.mark.parametrize("source", ["crops", "crops/person", f"crops/{FACELESS}"])
def test_crops_of_another_template_are_refused_wherever_they_lie(folder, tmp_path, source):
    write_checkpoint(tmp_path / "model.ckpt", alignment={"template": "eyes_nose", "detector": "yunet", "size": 256})
    with pytest.raises(ValueError, match="was trained on faces aligned by"):
        predict(tmp_path / "model.ckpt", folder / source, "--crops")
    with pytest.raises(ValueError, match="was trained on faces aligned by"):
        image_paths(FacePredictor(tmp_path / "model.ckpt", "cpu"), [folder / source])


def test_figures_tell_that_no_face_was_found(folder):
    predictor = FacePredictor(folder / "model.ckpt", "cpu")
    images = [folder / "crops/person/0.jpg", folder / "crops" / FACELESS]
    titles = [named.about for named in network_figures(predictor, images)]
    assert titles[:2] == ["Attention on 0.jpg", "Attention on 3.jpg, without a detected face"]


def test_links_to_crops_are_what_they_lead_to(folder, tmp_path):
    (tmp_path / "one.jpg").symlink_to(folder / "crops" / FACELESS)
    (tmp_path / "people").symlink_to(folder / "crops/person")
    (tmp_path / "copy.jpg").write_bytes((folder / "crops" / FACELESS).read_bytes())
    images = [tmp_path / "one.jpg", tmp_path / "people/3.jpg", tmp_path / "people/0.jpg", tmp_path / "copy.jpg"]
    assert [crop and crop.detected for crop in Crops().all_of(images)] == [False, False, True, None]


def test_a_manifest_of_images_is_not_used_for_crops_of_them(folder, tmp_path):
    """Otherwise networks trained on crops would be recorded as trained on whole images."""
    write_bp4d(tmp_path, frames=2)
    shutil.copyfile(folder / "crops/alignment.json", tmp_path / "alignment.json")
    module = loaded(BP4D, index_bp4d(tmp_path), tmp_path / "crops.csv", root=tmp_path)
    assert module.alignment == {"template": "eyes", "detector": "cascade", "size": 256}
    shutil.move(tmp_path / "alignment.json", tmp_path / "aside.json")
    with pytest.raises(ValueError, match=r"crops.csv .*aligned by \('eyes', 256\); those below .* by \('none',\)"):
        BP4D(tmp_path / "crops.csv", root=tmp_path).load()
    loaded(BP4D, index_bp4d(tmp_path), tmp_path / "none.csv", root=tmp_path)
    shutil.move(tmp_path / "aside.json", tmp_path / "alignment.json")
    with pytest.raises(ValueError, match=r"none.csv .*aligned by \('none',\); those below .* by \('eyes', 256\)"):
        BP4D(tmp_path / "none.csv", root=tmp_path).load()
