"""Tools of the maintainers: CI, commit hooks, the targets of the Makefile, and the list of programs in the wheel."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import sma_kernels

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
JOBS = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]


def make_targets(commands: str) -> set[str]:
    return set(re.findall(r"^make ([\w-]+)", commands, re.MULTILINE))


def targets_of(job: dict) -> set[str]:
    return make_targets("\n".join(step.get("run", "") for step in job["steps"]))


def tool(name: str) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / f"{name}.py")))


def test_jobs_of_ci_call_targets_that_exist():
    for name, job in JOBS.items():
        assert job["runs-on"] and job["timeout-minutes"] <= 180, name
        assert targets_of(job) and targets_of(job) <= TARGETS, name


def test_the_test_job_runs_what_the_ci_script_runs():
    assert targets_of(JOBS["test"]) == make_targets((ROOT / ".ci/run").read_text()) == {"lint", "test", "test-asan"}


def test_ci_tests_every_python_of_the_classifiers():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))
    assert JOBS["test"]["strategy"]["matrix"]["python"] == versions


def test_a_gpu_is_used_on_request_only():
    assert "workflow_dispatch" in JOBS["gpu"]["if"] and "gpu" in JOBS["gpu"]["runs-on"]


def test_every_target_is_phony_and_has_a_help_text():
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)).split())
    documented = set(re.findall(r"^([\w-]+):.*## \w", MAKEFILE, re.MULTILINE))
    assert phony == documented == TARGETS


def test_fast_tests_exist():
    paths = re.search(r"^FAST_TESTS = ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)[1].replace("\\\n", " ").split()
    for path in paths:
        file, _, test = path.partition("::")
        assert f"def {test}" in (ROOT / file).read_text(), path


def test_commit_hooks_run_what_lint_runs():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    lint = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        words = shlex.split(hook["entry"])
        assert words[0].startswith(".venv/bin/")
        if hook.get("stages") == ["commit-msg"]:
            assert (ROOT / words[1]).exists()
        else:
            assert Path(words[0]).name in lint, hook["id"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("Add a backend\n", None),
        ("x" * 72 + "\n\nThe reason.\n# Please enter the commit message\n", None),
        ("x" * 73 + "\n", "73 characters"),
        ("Add a backend.\n", "period"),
        ("Add a backend\nand more\n", "empty line"),
        ("", None),  # git itself rejects it
    ],
)
def test_commit_subjects(message, problem):
    reason = tool("check_commit_subject").problem(message)
    assert reason is None if problem is None else problem in reason


def test_programs_of_the_wheel_are_found(tmp_path):
    package = tmp_path / "package"
    (package / "command").mkdir(parents=True)
    (package / "command" / "__main__.py").write_text("")
    (package / "library.py").write_text('"""if __name__ == "__main__": is not at the start of a line here."""\n')
    (package / "program.py").write_text('def main(): ...\n\n\nif __name__ == "__main__":\n    main()\n')
    modules = tool("check_wheel").runnable_modules
    assert list(modules(package)) == ["package.command", "package.program"]
    assert "sma_kernels.info" in modules(ROOT / "sma_kernels")


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["message"] and citation["title"] and all("name" in author for author in citation["authors"])
    assert str(citation["version"]) == sma_kernels.__version__
    assert all(reference.keys() >= {"type", "title", "authors"} for reference in citation["references"])
