"""Common properties of the action-unit databases: published folds and counts, hidden files, encodings."""

from itertools import combinations

import numpy as np
import pytest

from sma_models.data.databases import bp4d as bp4d_file
from sma_models.data.databases import disfa as disfa_file
from sma_models.data.databases.bp4d import index_bp4d
from sma_models.data.databases.bp4dplus import index_bp4dplus
from sma_models.data.databases.disfa import index_disfa
from tests.helpers.database_copies import (
    BP4D_UNITS,
    hide,
    write_bp4d,
    write_bp4dplus,
    write_coding,
    write_disfa,
)


def test_published_parts_share_nobody():
    bp4d = [set(subjects.split()) for subjects in bp4d_file.FOLDS.values()]
    disfa = [set(numbers) for numbers in disfa_file.FOLDS.values()]
    for parts in (bp4d, disfa):
        assert all(a.isdisjoint(b) for a, b in combinations(parts, 2))
    assert set.union(*bp4d) == {f"F{n:03d}" for n in range(1, 24)} | {f"M{n:03d}" for n in range(1, 19)}
    assert set.union(*disfa) == set(range(1, 33)) - {14, 15, 19, 20, 22}
    assert [len(part) for part in bp4d] == [14, 14, 13]
    assert sum(bp4d_file.EXPECTED[f"frames of fold {part}"] for part in bp4d_file.FOLDS) == 146847


def test_published_shares_and_the_score_of_a_constant_guess_agree():
    shares = [bp4d_file.EXPECTED[f"AU{unit}, share of positives"] for unit in BP4D_UNITS]
    assert np.mean([2 * share / (1 + share) for share in shares]) == pytest.approx(0.480, abs=0.001)


def test_positives_are_those_that_are_scored(tmp_path):
    """DISFA's from intensity 2 on, BP4D's among the frames that could be coded; next to the published counts."""
    write_disfa(tmp_path / "disfa", frames=5, level=lambda unit, n: n if unit == 4 else int(unit == 1))
    index = index_disfa(tmp_path / "disfa")
    counts = index.counts()
    assert counts["AU4 positive from 2 on"] == 4 * 6 and counts["AU4, share of positives"] == 0.8
    assert counts["AU1 positive from 2 on"] == counts["AU1, share of positives"] == 0
    # One unit of eight has F1 = 2·0.8/1.8.
    assert counts["mean F1 of calling every action unit present"] == round(2 * 0.8 / 1.8 / 8, 3)
    message = index.warnings()
    assert "AU25, share of positives: expected 0.28, found 0.0" in message
    assert "mean F1 of calling every action unit present: expected 0.187, found 0.111" in message
    write_bp4d(tmp_path / "bp4d", subjects=("F001",))
    rows = {20: {1: 1, 2: 9}, 21: {1: 0, 2: 1}, 22: {1: 0, 2: 9}, 23: {1: 1, 2: 0}}
    write_coding(tmp_path / "bp4d/AUCoding/AU_OCC/F001_T1.csv", rows)
    counts = index_bp4d(tmp_path / "bp4d").counts()
    assert [counts[f"AU{unit} positive"] for unit in (1, 2, 4)] == [2, 1, 0]
    assert [counts[f"AU{unit} unknown"] for unit in (1, 2, 4)] == [0, 2, 0]
    assert [counts[f"AU{unit}, share of positives"] for unit in (1, 2, 4)] == [0.5, 0.5, 0]


def test_a_share_is_as_published_within_its_rounding(tmp_path):
    write_bp4d(tmp_path, frames=100)
    rows = {frame: dict.fromkeys(BP4D_UNITS, int(frame < 41)) for frame in range(20, 120)}
    for coding in (tmp_path / "AUCoding/AU_OCC").iterdir():
        write_coding(coding, rows)
    message = [warning.partition(":")[0] for warning in index_bp4d(tmp_path).warnings() if "share" in warning]
    # Each is 0.21; the published values are 0.21, 0.20 and 0.17.
    assert "AU1, share of positives" not in message and "AU4, share of positives" not in message
    assert "AU2, share of positives" in message


def test_hidden_files_are_none_of_a_database(tmp_path):
    """As created by macOS on disks of other systems."""
    write_bp4d(tmp_path / "bp4d")
    write_bp4dplus(tmp_path / "bp4dplus", frames=9)
    write_disfa(tmp_path / "disfa")
    hide(tmp_path)
    for index in (index_bp4d(tmp_path / "bp4d"), index_disfa(tmp_path / "disfa"), index_bp4dplus(tmp_path / "bp4dplus"),
                    index_bp4dplus(tmp_path / "bp4dplus", label="task")):  # fmt: skip
        assert index.samples and not index.extra and not index.missing and not index.unlabelled


@pytest.mark.parametrize("file", ["bp4d/AUCoding/AU_OCC/F001_T1.csv", "disfa/ActionUnit_Labels/SN001/SN001_au1.txt"])
def test_labels_that_are_no_text_are_named(tmp_path, file):
    write_bp4d(tmp_path / "bp4d")
    write_disfa(tmp_path / "disfa")
    (tmp_path / file).write_bytes(b"0,1\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{file}, line 1: expected UTF-8 text"):
        index_bp4d(tmp_path / "bp4d")
        index_disfa(tmp_path / "disfa")
