"""Mutants of the detection of the environment by build and benchmarks."""

from tests.mutants.mutant import Mutant

JOBS = ("tests/test_build_jobs.py",)
ENVIRONMENT = ("tests/benchmarks/test_environment.py",)
REPOSITORY = ("tests/test_repository.py",)
SOURCES = ("tests/test_install.py", "-k", "source_distribution")


def jobs(old: str, new: str) -> Mutant:
    return Mutant("tools/build_jobs.py", old, new, JOBS)


def environment(old: str, new: str) -> Mutant:
    return Mutant("benchmarks/environment.py", old, new, ENVIRONMENT)


MUTANTS = [
    # Jobs of the build.
    jobs('["MemAvailable:"]', '["MemFree:"]'),
    jobs("except (OSError, ValueError, KeyError):\n        return 0.0", "except OSError:\n        return 0.0"),
    jobs("[available, *_left_by_cgroups(root)]", "[available]"),
    jobs("(own, *own.parents)", "(own,)"),
    jobs('yield limit - used + _fields(folder / "memory.stat")["inactive_file"]', "yield limit - used"),
    jobs("max(1, min(cores, int(available_gib() // GIB_PER_JOB)))", "min(cores, int(available_gib() // GIB_PER_JOB))"),
    jobs("min(cores, int(available_gib() // GIB_PER_JOB))", "int(available_gib() // GIB_PER_JOB)"),
    jobs('if hasattr(os, "sched_getaffinity")', "if True"),
    Mutant("MANIFEST.in", "include tools/build_jobs.py tools", "include tools", SOURCES),
    # The revision of a result.
    environment("except (OSError, subprocess.CalledProcessError):", "except subprocess.CalledProcessError:"),
    environment("text=True, check=True, cwd=folder", "text=True, cwd=folder"),
    # Tools of the maintainers.
    Mutant("tools/check_commit_subject.py", "> MAX_LENGTH", ">= MAX_LENGTH", REPOSITORY),
    Mutant("tools/check_commit_subject.py", "rest and rest[0].strip()", "rest", REPOSITORY),
    Mutant("tools/check_wheel.py", 'path.name == "__main__.py"', "False", REPOSITORY),
    Mutant("tools/check_wheel.py", 'r"^if', 'r"if', REPOSITORY),
    Mutant(".github/workflows/ci.yml", "run: make test-asan", "run: make test", REPOSITORY),
    Mutant(".github/workflows/ci.yml", '"3.12", "3.13"', '"3.12"', REPOSITORY),
    Mutant("Makefile", "test-fast: $(VENV)/.ready ##", "test-fast: $(VENV)/.ready #", REPOSITORY),
]
