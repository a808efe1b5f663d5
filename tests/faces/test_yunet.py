"""YuNet through OpenCV, with a constructed network that finds a face wherever a cell is blue."""

import csv
import json

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.data.alignment import TEMPLATES, similarity, warp
from sma_models.faces.detect import YuNet
from sma_models.faces.predictor import FacePredictor
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_images import save

onnx = pytest.importorskip("onnx")

# The face of a cell of 8 pixels is 5 cells wide and 6 high around the middle of the cell. Its points, in cells from the
# corner of the cell, are the eyes, the nose and the corners of the mouth.
WIDTH, HEIGHT = 5.0, 6.0
POINTS = np.array([[-1, -1], [2, -0.75], [0.5, 0.75], [-0.5, 2], [1.5, 2]])


def write_network(path, outputs=("cls", "obj", "bbox", "kps")):
    """The twelve outputs of YuNet, at strides 8, 16 and 32; only the first stride finds faces."""
    values = {"cls": [0], "obj": [1], "bbox": [0.5, 0.5, np.log(WIDTH), np.log(HEIGHT)], "kps": POINTS.ravel()}
    nodes, constants, results = [], [], []
    for name in outputs:
        for stride in (8, 16, 32):
            bias = np.array(values[name], np.float32)
            weight = np.zeros((len(bias), 3, stride, stride), np.float32)
            if (name, stride) == ("cls", 8):
                weight[:, 0] = 1 / (255 * stride**2)  # the mean of blue, the first channel, in 0 to 1
            end = f"{name}_{stride}"
            for part, array in (("w", weight), ("b", bias), ("s", np.array([1, -1, len(bias)], np.int64))):
                constants.append(onnx.numpy_helper.from_array(array, f"{end}_{part}"))
            make = onnx.helper.make_node
            nodes += [
                make("Conv", ["input", f"{end}_w", f"{end}_b"], [f"{end}_map"], strides=[stride, stride]),
                make("Transpose", [f"{end}_map"], [f"{end}_last"], perm=[0, 2, 3, 1]),
                make("Reshape", [f"{end}_last", f"{end}_s"], [end]),
            ]
            results.append(onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [1, None, len(bias)]))
    image = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 320, 320])
    graph = onnx.helper.make_graph(nodes, "cells", [image], results, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def network(tmp_path):
    return write_network(tmp_path / "cells.onnx")


def image(cells, size=(240, 360), scale=1, colour=(0, 0, 255)):
    """Black except for cells (column, row) of 8·scale pixels."""
    image = np.zeros((size[0] * scale, size[1] * scale, 3), np.uint8)
    side = 8 * scale
    for column, row in cells:
        image[row * side : (row + 1) * side, column * side : (column + 1) * side] = colour
    return image


def points_at(column, row):
    """Eyes and nose [3,2] of the face of a cell."""
    return (POINTS[:3] + np.array([column, row])) * 8


def test_a_face_whose_eyes_coincide_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.faces.test_yunet.POINTS", np.zeros((5, 2)))
    assert YuNet(write_network(tmp_path / "blind.onnx"))(image([(20, 11)])) == []


def test_boxes_and_points_are_decoded(network):
    (face,) = YuNet(network)(image([(20, 11)]))
    assert face.score == pytest.approx(1, abs=1e-3)
    # The middle of the cell is (164, 92).
    assert face.box == pytest.approx((164 - 20, 92 - 24, 40, 48), abs=1e-3)
    np.testing.assert_allclose(face.points, points_at(20, 11), atol=1e-3)
    assert YuNet(network)(image([(20, 11)], colour=(255, 0, 0))) == []
    assert len(YuNet(network)(image([(8, 8), (30, 20)]))) == 2


@pytest.mark.parametrize("scale", [2, 4])
def test_large_images_are_shrunk_and_points_brought_back(network, scale):
    # The longer side becomes 640 pixels, so that a cell has 8 pixels again.
    (face,) = YuNet(network)(image([(20, 11)], (480, 640), scale))
    assert face.box == pytest.approx([scale * value for value in (144, 68, 40, 48)], abs=1e-2)
    np.testing.assert_allclose(face.points, (points_at(20, 11) + 0.5) * scale - 0.5, atol=1e-2)


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (33, 31)])
def test_images_of_any_size(network, size):
    assert YuNet(network)(np.zeros((*size, 3), np.uint8)) == []


def test_other_networks_are_refused(tmp_path):
    write_network(tmp_path / "other.onnx", ("cls", "obj"))
    with pytest.raises(ValueError, match=r"other\.onnx is not a YuNet model"):
        YuNet(tmp_path / "other.onnx")


def test_align_and_predict_with_the_nose(network, tmp_path):
    """Three points through both commands: the same crop, and the template of the checkpoint."""
    save(tmp_path / "in/face.png", image([(20, 11)]))
    points = points_at(20, 11)
    main(["align", str(tmp_path / "in"), str(tmp_path / "out"), "--template", "eyes_nose", "--yunet", str(network)])
    facts = {"template": "eyes_nose", "detector": "yunet cells.onnx", "size": 256}
    assert json.loads((tmp_path / "out/alignment.json").read_text()) == facts
    crop = warp(image([(20, 11)]), similarity(points, "eyes_nose"))
    stored = cv2.imread(str(tmp_path / "out/face.jpg"), cv2.IMREAD_COLOR_RGB)
    assert np.abs(stored.astype(int) - crop).mean() < 2
    with (tmp_path / "out/alignment.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert np.array(row["points"].split(), float).reshape(-1, 2) == pytest.approx(points, abs=1e-3)

    write_checkpoint(tmp_path / "model.ckpt", alignment=facts, merge="max")
    arguments = ["predict", str(tmp_path / "model.ckpt"), str(tmp_path / "in"), "--out", str(tmp_path / "rows.csv")]
    with pytest.raises(ValueError, match="needs 3 points per face; cascade gives 2"):
        main(arguments)
    main([*arguments, "--yunet", str(network)])
    with (tmp_path / "rows.csv").open() as file:
        (row,) = csv.DictReader(file)
    read = {}
    for template in TEMPLATES:
        read[template] = FacePredictor(tmp_path / "model.ckpt", "cpu")(
            [warp(image([(20, 11)]), similarity(points, template))]
        )[0]
    assert float(row["AU1"]) == pytest.approx(float(read["eyes_nose"][0, 0]), abs=2e-5)
    # With the other template the result would differ.
    assert abs(read["eyes"] - read["eyes_nose"])[0, 0] > 1e-4
    assert (row["found"], row["x"], row["width"], row["score"]) == ("1", "144.0", "40.0", "1.0")
