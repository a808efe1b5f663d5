"""The demo: it trains once, shows its result again on later runs, and draws its figure."""

import json

import cv2
import numpy as np
import pytest
import torch

from sma_models.cli.demo import CHECKPOINT, CURVES, FACES, RESULT, DemoSettings, main, run_demo
from sma_models.data import SyntheticFaceData
from sma_models.figures.ground_truth import attention_map, strongest
from sma_models.models.sma_net import SMANet
from sma_models.report.score_tables import au_table

pytestmark = pytest.mark.filterwarnings("ignore")
# 400 faces show every action unit, the rarest 16 times.
TINY = DemoSettings(train=400, val=60, test=60, subjects=20, image_size=32, epochs=1, workers=0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "deep" / "folder"
    return out, run_demo(out, TINY)


def test_everything_is_written(demo):
    out, result = demo
    assert {path.name for path in out.iterdir()} >= {CHECKPOINT, CURVES, FACES, RESULT, "metrics.csv"}
    assert result["faces"] == 60
    assert len(result["scores"]["f1"]) == 15
    for name in (CURVES, FACES):
        assert cv2.imread(str(out / name)).std() > 10, name


def test_a_finished_demonstration_is_shown_not_repeated(demo, capsys):
    out, result = demo
    before = (out / CHECKPOINT).stat().st_mtime_ns
    assert run_demo(out, TINY) == result
    assert (out / CHECKPOINT).stat().st_mtime_ns == before
    shown = " ".join(capsys.readouterr().out.split())
    assert "finished" in shown and "--force" in shown
    assert "AU26" in shown
    for name in (CHECKPOINT, CURVES, FACES):
        assert name in shown


def test_an_interrupted_or_other_demonstration_is_not_taken_for_this_one(demo):
    from dataclasses import replace

    from sma_models.cli.demo import _finished

    out, _ = demo
    assert _finished(out, replace(TINY, seed=1)) is None
    result = (out / RESULT).read_text()
    (out / RESULT).unlink()
    try:
        assert _finished(out, TINY) is None
    finally:
        (out / RESULT).write_text(result)


def test_force_trains_again_and_finds_the_same(demo):
    out, result = demo
    before = (out / CHECKPOINT).stat().st_mtime_ns
    again = run_demo(out, TINY, force=True)
    assert (out / CHECKPOINT).stat().st_mtime_ns > before
    assert again["scores"] == result["scores"]
    assert not list(out.glob("best-*.ckpt"))
    assert json.loads((out / RESULT).read_text()) == again


def test_the_command_line_is_checked(capsys):
    with pytest.raises(SystemExit):
        main(["--fold", "3"])
    assert "sma-net demo" in capsys.readouterr().err


def test_the_table_shows_a_dash_where_nothing_is_defined_and_counts_the_rest():
    scores = {name: [0.25, None] for name in ("f1", "f1_always_positive", "f1_at_0_5", "auc", "accuracy", "prevalence")}
    table = au_table("title", ["AU1", "AU2"], scores)
    f1 = list(table.columns[1].cells)
    assert f1 == ["0.250", "-", "0.250", "1"]


def test_an_image_of_attention_peaks_where_the_map_does():
    data = SyntheticFaceData(train=5, val=5, test=5, subjects=5, num_workers=0)
    data.setup("fit")
    network = SMANet(
        data.faces.regions,
        backbone="test_resnet",
        stage=1,
        image_size=64,
        channels=2,
        embed_dim=4,
        activation="softmax",
    ).eval()
    with torch.no_grad():
        network.attention.weight.mul_(20)
    drawn = attention_map(network, data.faces, 3, 2)
    assert drawn.shape == (192, 192)
    assert drawn.max() == 1
    assert drawn.min() >= 0
    from sma_models.data.transforms import Augment, canvas_size

    image = torch.from_numpy(data.faces.image(3, canvas_size(64))).permute(2, 0, 1)
    with torch.no_grad():
        grid = network(Augment("none", 64)(image, (0, 0, 0))[None]).attention.attention[0, 2].amax(0).numpy()
    cell = 192 // grid.shape[0]
    peak = np.unravel_index(grid.argmax(), grid.shape)
    assert np.abs(np.array(np.unravel_index(drawn.argmax(), drawn.shape)) // cell - peak).max() <= 1


def test_the_face_that_is_shown_is_the_one_with_the_strongest_unit():
    data = SyntheticFaceData(train=5, val=5, test=40, subjects=5)
    data.setup("fit")
    intensities = data.faces.intensities()
    for unit in range(15):
        index = strongest(data.faces, data.splits.test, unit)
        assert index in data.splits.test
        assert intensities[index, unit] == intensities[data.splits.test, unit].max()
