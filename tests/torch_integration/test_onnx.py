"""ONNX: only standard operators, and the results of onnxruntime equal those of PyTorch."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sma_models.cli.main import main
from sma_models.models.export import OUTPUTS, load_deployed, save_onnx
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_sets import images

pytestmark = [pytest.mark.mode("ONNX, run by onnxruntime", backend="reference"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.ckpt"
    write_checkpoint(path)
    return path


def agrees(path, checkpoint):
    """Compares onnxruntime and PyTorch on several batch sizes and images; a frame without a face is an empty batch."""
    session = onnxruntime.InferenceSession(str(path))
    assert [entry.name for entry in session.get_outputs()] == list(OUTPUTS)
    deployed, _ = load_deployed(checkpoint)
    for count in (0, 1, 3):
        batch = images(count, 64, seed=count)
        actual = session.run(None, {"images": batch.numpy()})
        assert all(len(output) == count for output in actual)
        probability, logits, head = deployed(batch)
        for name, ours, theirs in zip(OUTPUTS, actual, (probability, logits, *head), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def test_onnx_file_of_standard_operators_agrees_with_pytorch(checkpoint, capsys):
    main(["export", str(checkpoint)])
    path = checkpoint.with_suffix(".onnx")
    assert capsys.readouterr().out.strip().endswith(str(path))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"} and not model.functions
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx"}
    (facts,) = (json.loads(entry.value) for entry in model.metadata_props if entry.key == "sma_net")
    assert facts["regions"] == ["AU1", "AU12"] and facts["threshold"] == [-9.0, 9.0]
    agrees(path, checkpoint)


@pytest.mark.parametrize(("merge", "activation"), [("mean", "sigmoid"), ("none", "softmax")])
def test_onnx_file_follows_the_settings(tmp_path, merge, activation):
    path = tmp_path / "model.ckpt"
    write_checkpoint(path, ("anger", "happiness"), "expression", merge=merge, activation=activation)
    save_onnx(path, tmp_path / "model.onnx")
    agrees(tmp_path / "model.onnx", path)


def test_winner_of_equal_channels_is_pytorchs(tmp_path):
    """In both, argmax selects the first maximum; a tie must not pool another channel."""
    path = tmp_path / "model.ckpt"
    write_checkpoint(path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.attention.weight"].zero_()
    torch.save(content, path)
    save_onnx(path, tmp_path / "model.onnx")
    agrees(tmp_path / "model.onnx", path)


def test_wrong_suffix_is_refused(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"out must end in \.onnx for format onnx; got .*model\.bin"):
        main(["export", str(checkpoint), "--out", str(tmp_path / "model.bin")])


def test_missing_exporter_is_named(checkpoint, monkeypatch):
    monkeypatch.setattr("sma_models.cli.export.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"format onnx needs onnx and onnxscript: pip install"):
        main(["export", str(checkpoint)])
