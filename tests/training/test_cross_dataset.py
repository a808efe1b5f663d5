"""Tests of checkpoints on data other than their training data."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from sma_models.cli import main
from sma_models.cli.lightning import run
from sma_models.data.face_table import UNKNOWN
from sma_models.models.checkpoint import ENTRY
from sma_models.models.checkpoint_io import safe_load
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.database_copies import write_disfa
from tests.helpers.protocols import checked, small


def test_a_checkpoint_on_another_database(tmp_path, caplog):
    # Lightning's logger writes to the stream that existed at its creation, so messages are read through a handler.
    logging.getLogger("lightning.pytorch").addHandler(caplog.handler)
    # Each action unit is present in different frames.
    write_disfa(tmp_path / "disfa", frames=27, level=lambda unit, n: 3 * (n == unit))
    disfa = tmp_path / "disfa.csv"
    main(["data", "check", "--dataset", "disfa", "--root", str(tmp_path / "disfa"), "--manifest", str(disfa)])
    write_checkpoint(tmp_path / "bp4d.ckpt", ("AU1", "AU12", "AU14"), alignment=None, people="bp4d")
    arguments = ["test", *small(disfa, "disfa_p1.yaml"), "--data.init_args.fold=all",
                 f"--trainer.logger.init_args.save_dir={tmp_path}"]  # fmt: skip
    cli = run([*arguments, "--ckpt_path", str(tmp_path / "bp4d.ckpt")])
    told = caplog.text
    assert "scored: AU1, AU12\n" in told and "only in the checkpoint: AU14" in told
    assert "only in these data: AU2, AU4, AU6, AU9, AU25, AU26" in told
    scores = cli.model.scores
    assert np.isfinite(scores.auc[:2]).all() and np.isnan(scores.f1[2])
    labels = cli.datamodule.faces.labels
    frames = cli.datamodule.faces.frames
    assert (labels[:, 2] == UNKNOWN).all()
    assert (labels[:, 0] == (frames == 1)).all() and (labels[:, 1] == (frames == 12)).all()
    write_checkpoint(tmp_path / "none.ckpt", ("AU14", "AU23"), alignment=None)
    with pytest.raises(ValueError, match="expected action units in common"):
        run([*arguments, "--ckpt_path", str(tmp_path / "none.ckpt")])


def test_people_that_were_trained_on_are_not_tested(tmp_path):
    """DISFA+ contains nine subjects of DISFA, under the same names."""
    checked(tmp_path, "disfa")
    for people, name, refused in (
        ("disfa", "SN001", True),
        ("DI-SFA", "sn001", True),
        (None, "SN001", True),
        ("", "SN001", True),
        ("bp4d", "SN001", False),
        ("DISFA+", "SN001", True),
    ):
        write_checkpoint(tmp_path / "model.ckpt", ("AU1",), alignment=None, people=people, subjects=(name, "SN030"))
        (tmp_path / "plus.csv").write_text(
            "image,subject,split,AU1\ndisfa/SN001/0.png,SN001,test,1\ndisfa/SN002/1.png,SN002,test,0\n"
            "disfa/SN003/0.png,SN003,train,1\ndisfa/SN004/0.png,SN004,train,1\n"
        )
        arguments = ["test", "--model=ActionUnitTask", "--data=CSVFaces", f"--data.csv={tmp_path / 'plus.csv'}",
                     "--data.people=disfa", "--data.num_workers=0", "--trainer.accelerator=cpu",
                     "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}",
                     f"--ckpt_path={tmp_path / 'model.ckpt'}"]  # fmt: skip
        if refused:
            with pytest.raises(ValueError, match="trained on 1 of the subjects to be tested: SN001"):
                run(arguments)
        else:
            run(arguments)


def test_checkpoints_know_whom_they_saw(tmp_path):
    """The other folds of the same database contain people that a checkpoint was trained on."""
    manifest = checked(tmp_path, "bp4d")
    fit = run(["fit", *small(manifest, "bp4d_p1.yaml"), f"--trainer.logger.init_args.save_dir={tmp_path}"])
    path = fit.trainer.checkpoint_callback.best_model_path
    seen = {"people": "bp4d", "subjects": ["F003", "F004", "F005", "F006"], "alignment": None, "selection": "val"}
    assert safe_load(path)[ENTRY]["data"] == seen
    again = [
        "test",
        *small(manifest, "bp4d_p1.yaml"),
        f"--trainer.logger.init_args.save_dir={tmp_path}",
        "--ckpt_path",
        path,
    ]
    again.append("--data.init_args.selection=last")
    tested = run(again)
    scores = json.loads((Path(tested.trainer.log_dir) / "scores_test.json").read_text())
    # The table describes the training of the checkpoint, whatever the settings of the test.
    assert (scores["selection"], scores["starts_from"]) == ("val", "none")
    with pytest.raises(ValueError, match="trained on 2 of the subjects"):
        run([*again, "--data.init_args.fold=P2"])
    facts = json.loads(manifest.with_suffix(".json").read_text())
    facts["alignment"] = {"template": "eyes", "detector": "cascade", "size": 256}
    manifest.with_suffix(".json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="was trained on faces aligned by"):
        run(again)
