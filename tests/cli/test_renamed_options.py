"""Old names of options and settings still work for one version, hidden and with a warning."""

import json

import pytest

from sma_models.cli import align, main, predict
from sma_models.data import SyntheticFaceData
from sma_models.utils.renamed import current_options
from tests.helpers.database_copies import write_bp4dplus


@pytest.mark.parametrize("old, new", [*align.RENAMED.items(), *predict.RENAMED.items()])
def test_an_old_option_becomes_the_new_one(old, new):
    renamed = align.RENAMED | predict.RENAMED
    with pytest.warns(UserWarning, match=f"{old} is now called {new}"):
        assert current_options(["a", old, "b"], renamed) == ["a", new, "b"]
    with pytest.warns(UserWarning, match=f"{old} is now called {new}"):
        assert current_options([f"{old}=1"], renamed) == [f"{new}=1"]
    assert current_options([new, f"{old}s"], renamed) == [new, f"{old}s"]


@pytest.mark.parametrize("command, old", [("align", align.RENAMED), ("predict", predict.RENAMED)])
def test_commands_know_their_new_options_and_hide_the_old_ones(command, old, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert all(f"{name} " not in shown and f"{name}\n" not in shown for name in old)
    assert all(name in shown for name in old.values())


@pytest.mark.parametrize("in_file", [False, True])
def test_first_picture_is_read_as_first_image(tmp_path, in_file):
    """Of 30 images from 3 on nothing shows which is that of frame 1, so the setting decides."""
    write_bp4dplus(tmp_path / "data", subjects=("F001",), base=3)
    (tmp_path / "check.yaml").write_text("first_picture: 0\n")
    setting = ["--config", str(tmp_path / "check.yaml")] if in_file else ["--first_picture", "0"]
    words = ["--dataset", "bp4dplus", "--root", str(tmp_path / "data"), "--manifest", str(tmp_path / "m.csv"), *setting]
    with pytest.warns(UserWarning, match="first_picture is now called first_image"):
        main(["data", "check", *words])
    assert json.loads((tmp_path / "m.json").read_text())["settings"]["first_picture"] == 0


def test_keep_is_read_as_cache():
    with pytest.warns(UserWarning, match="keep is now called cache"):
        assert SyntheticFaceData(keep=True).cache
