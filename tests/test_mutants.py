"""The mutants are up to date: each matches exactly one place in the code, and its arguments select tests."""

import ast
import functools
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.mutants.__main__ import LISTS, ROOT
from tests.mutants.mutant import Mutant

ALL = [(name, mutant) for name in LISTS for mutant in import_module(f"tests.mutants.{name}").MUTANTS]
each_mutant = pytest.mark.parametrize(
    "mutant", [mutant for _, mutant in ALL], ids=[f"{name}:{Path(mutant.file).name}" for name, mutant in ALL]
)


def targets(mutant: Mutant) -> list[str]:
    """Files and tests among pytest's arguments."""
    return [argument for argument in mutant.tests if argument.startswith("tests/")]


@functools.cache
def collected(environment: tuple[tuple[str, str], ...]) -> list[str]:
    """Ids of all tests in the files of the mutants that run in this environment."""
    mutants = [mutant for _, mutant in ALL if mutant.environment == environment]
    files = {target.split("::")[0] for mutant in mutants for target in targets(mutant)}
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(files)],
        cwd=ROOT,
        env={**os.environ, **dict(environment)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in process.stdout.splitlines() if "::" in line]


def selects(expression: str, test: str) -> bool:
    """Whether pytest selects the test under `-k expression`."""

    def truth(word: re.Match[str]) -> str:
        return word[0] if word[0] in ("and", "or", "not") else str(word[0].lower() in test.lower())

    return bool(eval(re.sub(r"[^\s()]+", truth, expression)))


@each_mutant
def test_a_mutant_matches_one_place(mutant):
    source = (ROOT / mutant.file).read_text()
    assert source.count(mutant.old) == 1, f"{mutant.file}: {mutant.old!r}"
    assert mutant.old != mutant.new
    if mutant.file.endswith(".py"):
        ast.parse(source.replace(mutant.old, mutant.new))  # any test catches a syntax error


@each_mutant
def test_a_mutant_selects_tests(mutant):
    arguments = targets(mutant)
    expression = mutant.tests[mutant.tests.index("-k") + 1] if "-k" in mutant.tests else ""
    assert arguments and all((ROOT / target.split("::")[0]).exists() for target in arguments)
    assert any(
        test.startswith(tuple(arguments)) and (not expression or selects(expression, test))
        for test in collected(mutant.environment)
    )
