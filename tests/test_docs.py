"""Tables in the documents match the output of their commands; `python -m tests.test_docs` rewrites them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- python -m (?P<command>[\w./ ]+) -->\n)(?P<table>.*?)(\n<!-- end -->)", re.DOTALL)
PAGES = [page for page in sorted(ROOT.glob("docs/**/*.md")) if BLOCK.search(page.read_text())]


def printed(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_what_their_commands_print(page):
    pytest.importorskip("triton")
    for match in BLOCK.finditer(page.read_text()):
        assert match["table"].strip() == printed(match["command"]), f"python -m {match['command']}"


@pytest.mark.parametrize("page", [ROOT / "docs/api.md", *ROOT.glob("docs/generated/*.md")], ids=lambda page: page.name)
def test_a_generated_page_keeps_its_markers(page):
    """Without its markers, the tables of a page would no longer be compared."""
    text = page.read_text()
    assert len(BLOCK.findall(text)) == text.count("<!-- python -m") == text.count("<!-- end -->") > 0


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def main() -> None:
    for page in PAGES:
        page.write_text(
            BLOCK.sub(lambda match: f"{match[1]}\n{printed(match['command'])}\n{match[4]}", page.read_text())
        )


if __name__ == "__main__":
    main()
