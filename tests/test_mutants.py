"""The mutants are up to date: each matches exactly one place in the code."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.mutants.__main__ import LISTS, ROOT

ALL = [(name, mutant) for name in LISTS for mutant in import_module(f"tests.mutants.{name}").MUTANTS]


@pytest.mark.parametrize("name, mutant", ALL, ids=[f"{name}:{Path(mutant.file).name}" for name, mutant in ALL])
def test_a_break_finds_its_line(name, mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1, f"{mutant.file}: {mutant.old!r}"
    assert mutant.old != mutant.new
    assert all((ROOT / test).exists() for test in mutant.tests if test.startswith("tests/"))
