"""Code in the documents runs, and their commands and options exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from sma_models.cli import main
from sma_models.cli.lightning import run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:sma-net|make|python -m) [^`]+)`")
LIGHTNING = ("fit", "validate", "test", "crossval")
# Options of `crossval` itself, and options of Lightning's commands that are not settings.
OWN = {"--out", "--seeds", "--folds", "--ckpt_path"}
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def python_pages():
    return [page for page in PAGES if any(kind == "python" for kind, _ in FENCE.findall(page.read_text()))]


def commands(page):
    """Lines of code blocks without a language, and of running text, that call a program of this project."""
    text = page.read_text()
    blocks = [line for kind, body in FENCE.findall(text) if not kind for line in body.splitlines()]
    lines = [line.partition("  #")[0].strip() for line in blocks]
    lines += INLINE.findall(FENCE.sub("", text))
    return [line for line in dict.fromkeys(lines) if re.match(r"(sma-net|make|python -m) ", line)]


COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("page", python_pages(), ids=lambda page: page.name)
def test_python_runs(page, capsys):
    names = {}
    for kind, body in FENCE.findall(page.read_text()):
        if kind == "python":
            exec(compile(body, str(page), "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            # The shapes given in comments are those printed.
            documented = re.findall(r"^print\(.*\.shape\)  # (\[[\d, ]+\])", body, re.MULTILINE)
            shapes = [line.removeprefix("torch.Size(").removesuffix(")") for line in printed]
            assert shapes[: len(documented)] == documented


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_exist(page, line, capsys):
    words = shlex.split(line)
    if words[0] == "make":
        target = next(word for word in words[1:] if "=" not in word)
        assert target in TARGETS
    elif words[0] == "python":
        assert importlib.util.find_spec(words[2]) is not None, words[2]
    elif words[1] in LIGHTNING:
        settings_are_read(words[2:])
    else:
        known = help_of(words[1:], capsys)
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", known), f"{option} is no option of {words[1]}"


def help_of(words, capsys):
    command = words[:1]
    if command == ["COMMAND"]:
        return "--help"
    if command == ["data"]:
        # Further options depend on the database.
        named = words[words.index("--dataset") + 1] if "--dataset" in words else "NAME"
        command = ["data", "check", "--dataset", "bp4d" if named == "NAME" else named]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert not stopped.value.code, words
    return capsys.readouterr().out


def settings_are_read(words):
    """Parses Lightning's settings as the command would; files need not exist."""
    words_left, skip = [], False
    for word in words:
        if word.partition("=")[0] in OWN:
            skip = "=" not in word
        elif not skip:
            words_left.append(word)
        else:
            skip = False
    # Running text may omit settings.
    if "--config" in words_left and "..." not in words_left:
        run(words_left, command=False)


def test_the_checks_see_what_is_wrong(capsys):
    with pytest.raises(AssertionError):
        test_commands_exist("", "sma-net predict best.ckpt --no-such-option 3", capsys)
    with pytest.raises(AssertionError):
        test_commands_exist("", "make no-such-target", capsys)
    with pytest.raises(SystemExit):
        test_commands_exist("", "sma-net fit --config csv_fer.yaml --data.csv a.csv --data.no_such_setting 3", capsys)
    with pytest.raises(AssertionError, match="no-such-command"):
        test_commands_exist("", "sma-net no-such-command --option", capsys)
    assert len(COMMANDS) > 25 and len(python_pages()) >= 2
