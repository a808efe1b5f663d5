"""`sma-net visualize`: the figures show what the network computed."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sma_models.cli import main
from sma_models.faces.predictor import FacePredictor
from sma_models.figures.attention import cosine, draw_attention
from sma_models.figures.collect import VIEW, run_attention, run_on_synthetic
from sma_models.figures.correlation_matrix import draw_correlation, region_shares
from sma_models.figures.network_figures import DEFAULT_COUNT, evenly_spaced, network_figures
from sma_models.figures.training_curves import draw_curves, find_log
from sma_models.synthetic import SyntheticFaces
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_images import drawn, save

REGIONS = ("AU1", "AU12", "AU26")
LOG = """epoch,step,train/task,val/task,val/f1,val/auc,val/cosine_before
0,9,,0.9,0.25,0.5,0.4
0,9,1.0,,,,
1,19,,0.7,0.5,0.75,0.3
1,19,0.8,,,,
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("seen") / "best.ckpt"
    write_checkpoint(path, REGIONS, channels=3)
    return path


@pytest.fixture(scope="module")
def reader(checkpoint):
    return FacePredictor(checkpoint, "cpu")


def written(capsys):
    return [line.rpartition("/")[2] for line in capsys.readouterr().out.split()]


def test_without_images_faces_are_rendered(checkpoint, tmp_path, capsys):
    (checkpoint.parent / "metrics.csv").write_text(LOG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        main(["visualize", str(checkpoint), "--out", str(tmp_path / "out")])
    assert written(capsys) == ["attention.png", "correlation.png", "curves.png"]
    for path in (tmp_path / "out").iterdir():
        assert cv2.imread(str(path)).std() > 10, path
    assert len(list((tmp_path / "out").iterdir())) == 3
    (checkpoint.parent / "metrics.csv").unlink()


def test_each_image_has_a_figure_of_its_own(checkpoint, tmp_path, capsys):
    for name in ("a/face.png", "b/face.png", "b/other.jpg"):
        save(tmp_path / name, drawn(1)[0])
    (tmp_path / "b" / "notes.txt").write_text("no image")
    main(["visualize", str(checkpoint), str(tmp_path / "a/face.png"), str(tmp_path / "b"), "--out", str(tmp_path)])
    # Two have the same name; there is no metrics.csv next to the checkpoint.
    assert written(capsys) == [
        "attention_face.png",
        "attention_face_1.png",
        "attention_other.png",
        "correlation.png",
    ]


def test_a_folder_is_sampled_evenly(checkpoint, tmp_path, capsys):
    """A dataset has thousands of images: some are sampled evenly, from the first to the last."""
    for number in range(1, 12):
        save(tmp_path / "crops" / f"{number}.png", np.full((40, 40, 3), 90, np.uint8))
    main(["visualize", str(checkpoint), str(tmp_path / "crops"), "--count", "3", "--out", str(tmp_path)])
    assert written(capsys) == ["attention_1.png", "attention_6.png", "attention_11.png", "correlation.png"]
    names = [Path(f"{number}.png") for number in range(1437)]
    assert len(evenly_spaced(names, 12)) == 12 == len(set(evenly_spaced(names, 12)))
    assert evenly_spaced(names, 12)[::11] == [names[0], names[-1]]
    gaps = np.diff([int(path.stem) for path in evenly_spaced(names, 12)])
    assert np.ptp(gaps) <= 1
    assert evenly_spaced(names[:5], 12) == names[:5] and evenly_spaced(names, 1) == names[:1]
    assert DEFAULT_COUNT == 12
    with pytest.raises(ValueError, match="count must be at least 1; got 0"):
        main(["visualize", str(checkpoint), str(tmp_path / "crops"), "--count", "0", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none", None, "there is no file or folder"),
        ("notes.txt", b"no image", "expected an image or a folder of images; got .*notes.txt"),
        ("face.png", b"no image", "face.png: cannot be decoded as an image"),
        (
            "alignment.json",
            b'{"template": "eyes_nose", "detector": "yunet", "size": 256}',
            "expected an image or a folder",
        ),
    ],
)
def test_what_is_not_an_image_is_named(checkpoint, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        main(["visualize", str(checkpoint), str(tmp_path / name), "--out", str(tmp_path / "out")])


def test_a_sample_says_of_how_many_it_is(reader, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        save(path, drawn(1)[0])
    assert "mean over 2 of 5 images" in list(network_figures(reader, paths, 2))[-1].about
    assert "mean over 2 images" in list(network_figures(reader, paths[:2]))[-1].about


@pytest.mark.parametrize("one", [False, True], ids=["folder", "one of its files"])
def test_crops_of_another_template_are_refused(checkpoint, tmp_path, one):
    save(tmp_path / "face.png", drawn(1)[0])
    (tmp_path / "alignment.json").write_text('{"template": "eyes_nose", "detector": "yunet", "size": 256}')
    source = tmp_path / "face.png" if one else tmp_path
    with pytest.raises(ValueError, match="eyes_nose"):
        main(["visualize", str(checkpoint), str(source), "--out", str(tmp_path / "out")])


def test_a_checkpoint_of_another_network_is_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    del content["state_dict"]["network.classifier.bias"]
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="does not fit this version of the network"):
        main(["visualize", str(tmp_path / "other.ckpt"), "--out", str(tmp_path)])


def test_views_hold_what_the_head_did(reader):
    crops = [drawn(subject)[0] for subject in (1, 2)]
    seen = run_attention(reader, crops)
    with torch.no_grad():
        heads = [reader.output([crop]).attention for crop in crops]
    for views, head in zip(seen.views, heads, strict=True):
        assert [view.name for view in views] == list(REGIONS)
        for region, view in enumerate(views):
            assert np.array_equal(view.before, head.maps[0, region].numpy())
            # The head pooled with every refined map; one image shows the maximum at each position.
            assert np.allclose(view.after, head.attention[0, region].numpy(), atol=1e-6)
            assert np.allclose(view.used, head.attention[0, region].amax(0).numpy())
            assert not np.allclose(view.before, view.after, atol=1e-4)
            assert view.true_region is None and view.face.shape == (VIEW, VIEW, 3)
    mean = np.mean([head.correlation[0].numpy() for head in heads], axis=0)
    assert np.allclose(seen.correlation, mean, atol=1e-6)
    with pytest.raises(ValueError, match="at least one image"):
        run_attention(reader, [])


def test_merged_channels_are_shown_as_the_head_merged_them(tmp_path):
    write_checkpoint(tmp_path / "max.ckpt", REGIONS, merge="max")
    reader = FacePredictor(tmp_path / "max.ckpt", "cpu")
    (views,) = run_attention(reader, [drawn(1)[0]]).views
    with torch.no_grad():
        head = reader.output([drawn(1)[0]]).attention
    for region, view in enumerate(views):
        # The head pooled with the maximum of the refined maps.
        assert np.allclose(view.after.max(0), view.used, atol=1e-6)
        assert np.allclose(view.used, head.attention[0, region].numpy())


def test_unmerged_channels_are_shown_by_the_strongest(tmp_path):
    write_checkpoint(tmp_path / "none.ckpt", REGIONS, merge="none")
    reader = FacePredictor(tmp_path / "none.ckpt", "cpu")
    (views,) = run_attention(reader, [drawn(1)[0]]).views
    assert all(np.array_equal(view.used, view.after.max(0)) for view in views)
    assert reader([drawn(1)[0]])[2].shape == (1, 3, *views[0].used.shape)


def test_drawn_faces_show_their_unit_most_and_strangers_get_a_face(tmp_path, reader):
    views, seen = run_on_synthetic(reader)
    assert [view.name for view in views] == list(REGIONS)
    assert all(view.true_region.any() and view.true_region.shape == (VIEW, VIEW) for view in views)
    # Brows are above the mouth.
    top, bottom = (np.argwhere(views[index].true_region)[:, 0].mean() for index in (0, 1))
    assert top < VIEW / 2 < bottom
    assert len(seen.views) == 3
    # The first face of the set that shows AU1 at intensity 5 of 5.
    faces = SyntheticFaces(400, seed=20_240, size=219, subjects=400)
    strongest = int(np.flatnonzero(faces.all_intensities()[:, 0] == 5)[0])
    assert np.array_equal(views[0].face, faces[strongest].image[13:205, 13:205])
    write_checkpoint(tmp_path / "fer.ckpt", ("anger", "fear"), kind="expression")
    views, _ = run_on_synthetic(FacePredictor(tmp_path / "fer.ckpt", "cpu"))
    assert [view.true_region for view in views] == [None, None]
    assert (views[0].face != views[1].face).any()


def cells(figure):
    (image,) = figure.axes[0].images
    return image.get_array()


def test_a_map_is_bright_where_it_is_strong_and_rows_share_a_scale(reader):
    (views,) = run_attention(reader, [drawn(1)[0]]).views
    grid = np.full(views[0].used.shape, 0.01, np.float32)
    strong, weak = grid.copy(), grid.copy()
    strong[1, 2], weak[2, 5] = 1, 0.1
    strong[6, 6] = weak[6, 6] = 0.5
    dark = np.zeros_like(views[0].face)
    view = views[0]._replace(
        face=dark, before=np.stack([strong, weak]), after=np.stack([strong, weak]), used=strong, on=True
    )
    figure = draw_attention("a title", [view])
    row = np.asarray(cells(figure))[:VIEW].astype(int)
    # The images of a figure from left to right: face, two channels, both refined, the attention used, the difference.
    starts = [0, 226, 428, 654, 856, 1082, 1308]
    assert row.shape[1] == starts[-1] + VIEW
    one, two, used, differ = (row[:, start : start + VIEW] for start in (starts[1], starts[2], starts[5], starts[6]))
    step = VIEW / grid.shape[0]
    there, here = ((int((y + 0.5) * step), int((x + 0.5) * step)) for y, x in ((1, 2), (2, 5)))
    assert one[there].sum() > two[here].sum() > two[there].sum()
    assert (one == used).all() and differ[there].sum() > differ[here].sum() > differ[-1, -1].sum()
    # Where both channels attend, their difference is 0.
    both = tuple(int(6.5 * step) for _ in range(2))
    assert two[both].sum() > two[here].sum() and (differ[both] == differ[-1, 0]).all()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "AU1" in texts and "channels, before refinement" in texts and f"{1 / strong.mean():.0f} ×" in texts
    assert "a title" in [text.get_text() for text in figure.texts]


def test_one_channel_has_nothing_to_differ_from(tmp_path):
    write_checkpoint(tmp_path / "one.ckpt", REGIONS, channels=1)
    views, _ = run_on_synthetic(FacePredictor(tmp_path / "one.ckpt", "cpu"))
    figure = draw_attention("", views)
    assert not any(text.get_text() == "differ" for text in figure.axes[0].texts)
    assert any(text.get_text().startswith("outlined") for text in figure.texts)


def test_cosine_of_channels():
    same, apart = np.ones((1, 4), np.float32), np.eye(2, 4, dtype=np.float32)
    assert cosine(np.repeat(same, 3, 0)) == pytest.approx(1)
    assert cosine(apart) == 0


def test_shares_of_regions_sum_over_the_channels_that_are_taken_from():
    # Region a takes all weight from b, in both channels; b takes three quarters from itself.
    correlation = np.array([[0, 0, 0.5, 0.5], [0, 0, 1, 0], [0.25, 0, 0.75, 0], [0.25, 0, 0, 0.75]])
    assert region_shares(correlation, 2).tolist() == [[0, 1], [0.25, 0.75]]
    figure = draw_correlation("", correlation.astype(np.float32), ("a", "b"))
    left, right = figure.axes[:2]
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in right.texts] == ["0", "100", "25", "75"]


def test_curves_are_those_of_the_log(tmp_path):
    (tmp_path / "metrics.csv").write_text(LOG)
    figure = draw_curves([tmp_path / "metrics.csv"])
    drawn_lines = {line.get_label(): line.get_xydata().tolist() for axis in figure.axes for line in axis.lines}
    assert drawn_lines["training"] == [[1, 1.0], [2, 0.8]]
    assert drawn_lines["F1, mean of AUs"] == [[1, 0.25], [2, 0.5]]
    assert drawn_lines["cosine within a region, before refinement"] == [[1, 0.4], [2, 0.3]]
    assert "macro-F1" not in drawn_lines


def test_the_log_lies_beside_the_checkpoint_or_above_its_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    best = tmp_path / "checkpoints" / "best.ckpt"
    assert find_log(best) is None
    (tmp_path / "metrics.csv").write_text(LOG)
    assert find_log(best) == find_log(tmp_path / "best.ckpt") == tmp_path / "metrics.csv"
    # The parent of any other folder is unrelated.
    assert find_log(tmp_path / "copies" / "best.ckpt") is None
