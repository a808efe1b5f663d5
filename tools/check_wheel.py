"""Runs every program that the installed packages ship with `--help`: modules run by `python -m`, and commands of `sma-net`.

`make test-wheel` runs it outside of the checkout with the Python of a fresh environment. Other tests run in the checkout,
where they cannot detect a file that is missing from the wheel.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("sma_kernels", "sma_models")
MAIN = re.compile(r"^if __name__ == .__main__.:", re.MULTILINE)


def runnable_modules(package: Path) -> Iterator[str]:
    """Modules and packages of a folder that do something when run by `python -m`."""
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if path.name == "__main__.py":
            yield name.removesuffix(".__main__")
        elif MAIN.search(path.read_text(encoding="utf-8")):
            yield name


def programs() -> Iterator[list[str]]:
    """The command line of every shipped program, without arguments."""
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{package} is not installed")
        for module in runnable_modules(Path(spec.origin).parent):
            yield [sys.executable, "-m", module]
    from sma_models.cli.main import COMMANDS, LIGHTNING

    script = str(Path(sys.executable).with_name("sma-net"))
    for command in (*COMMANDS, *LIGHTNING):
        yield [script, *command.split()]


def main() -> None:
    """Exit with 1 if a program fails, after all have run."""
    failed = 0
    for program in programs():
        done = subprocess.run([*program, "--help"], capture_output=True, text=True, check=False)
        ok = done.returncode == 0 and "usage" in done.stdout.lower()
        failed += not ok
        print(f"{'ok    ' if ok else 'FAILED'} {' '.join(program)} --help", flush=True)
        if not ok:
            print(done.stdout[-2000:] + done.stderr[-2000:])
    if failed:
        raise SystemExit(f"{failed} programs failed")


if __name__ == "__main__":
    main()
