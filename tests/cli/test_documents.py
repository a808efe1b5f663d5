"""Runs the commands of README.md and docs/train.md in order, in a folder as the pages describe it."""

import json
import shlex
import shutil

import pytest

from sma_models.cli import main
from sma_models.metrics.scores import current_names
from tests.helpers.face_images import drawn, save, write_video
from tests.helpers.face_sets import write_csv
from tests.test_docs_code import FENCE, ROOT

pytestmark = pytest.mark.filterwarnings("ignore")
# Longer commands, which need a database or the demo, have separate tests.
ELSEWHERE = ("crossval", "runs/demo")
SHORT = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
         "--data.num_workers=0"]  # fmt: skip


def lines_of(page):
    blocks = [body for kind, body in FENCE.findall((ROOT / page).read_text()) if not kind]
    return [shlex.split(line, comments=True) for line in "".join(blocks).splitlines()]


def test_the_figure_of_the_demonstration_is_that_of_its_file():
    """The result of another machine is given next to it."""
    scores = current_names(json.loads((ROOT / "docs" / "demo.json").read_text())["scores"])
    f1, constant = (sum(scores[name]) / len(scores[name]) for name in ("f1", "f1_always_positive"))
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"mean F1 was {f1:.3f}; the best constant guess scores {constant:.3f}" in readme
    assert "Another machine reached 0.727 with the same seed" in readme


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Photographs of 12 people with labels of expressions and of action units, a video, and another photograph."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for subject in range(12):
        name = f"faces/{subject:04d}"
        save(tmp_path / "photos" / f"{name}.png", drawn(subject)[0])
        rows.append({"image": f"{name}.jpg", "subject": f"p{subject:02d}"})
    write_csv(tmp_path / "faces.csv", [row | {"expression": ("anger", "fear")[n % 2]} for n, row in enumerate(rows)])
    write_csv(tmp_path / "units.csv", [row | {"AU1": n % 2, "AU12": n // 2 % 2} for n, row in enumerate(rows)])
    shutil.copy(tmp_path / "photos/faces/0003.png", tmp_path / "holiday.jpg")
    write_video(tmp_path / "clip.mp4", [drawn(4)[0]] * 3, codec="mp4v")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/train.md"])
def test_the_commands_of_a_page_follow_from_each_other(folder, page):
    labels = (folder / "faces.csv").read_text()
    done = set()
    for words in lines_of(page):
        if words[:1] == ["cp"]:
            shutil.copy(*words[1:])
        elif words[:1] == ["sma-net"] and not set(words) & set(ELSEWHERE):
            main(words[1:] + (SHORT if words[1] == "fit" else []))
            done.add(words[1])
    assert done >= {"align", "fit", "visualize", "predict", "export"}
    assert (folder / "predictions.csv").read_text().count("clip.mp4,") == 3 and (folder / "best.onnx").is_file()
    # No command of a page may overwrite files of its reader.
    assert (folder / "faces.csv").read_text() == labels
