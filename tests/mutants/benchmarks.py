"""Breaks of the GPU report, its kit and what the benchmarks compare."""

from tests.mutants.mutant import Mutant

REPORT = "tests/benchmarks/test_gpu_report.py"
KIT = "tests/benchmarks/test_gpu_kit.py"
COMMANDS = "benchmarks/gpu_report/commands.py"
FAULTY = (REPORT, "-k", "faulty or healthy or failing_backward")

MUTANTS = [
    # Processes.
    Mutant(COMMANDS, "os.killpg(process.pid, signal.SIGKILL)", "process.kill()", (REPORT, "-k", "leaves")),
    Mutant(COMMANDS, "            self.kill()\n        seconds", "        seconds", (REPORT, "-k", "ends_leaves")),
    Mutant(COMMANDS, "self.process.wait(max(0.1, limit))", "self.process.wait()", (REPORT, "-k", "a_stopped_command")),
    Mutant(COMMANDS, '"PYTHONUNBUFFERED": "1", ', "", (REPORT, "-k", "a_stopped_command")),
    Mutant(COMMANDS, "            if left() <= 0:\n                return\n", "", (REPORT, "-k", "end_with_the_time")),
    Mutant(
        COMMANDS,
        "        for process in started:\n            process.kill()",
        "        pass",
        (REPORT, "-k", "waiting_command"),
    ),
    Mutant(
        COMMANDS,
        "            if following:\n                started.append(Process(following, folder))\n",
        "",
        (REPORT, "-k", "in_turn"),
    ),
    Mutant(COMMANDS, "with suppress(json.JSONDecodeError):", "if True:", (REPORT, "-k", "a_stopped_command")),
    # What a cell costs when it fails.
    Mutant(
        "benchmarks/gpu_report/measure.py",
        "            except Exception as error:",
        "            except KeyError as error:",
        FAULTY,
    ),
    Mutant("benchmarks/gpu_report/steps.py", '        if status != "ok":', '        if status == "never":', FAULTY),
    Mutant(
        "benchmarks/gpu_report/report.py",
        'known.get("errors", {}) | row.get("errors", {})',
        'row.get("errors", {})',
        (REPORT, "-k", "one_by_one"),
    ),
    Mutant(
        "benchmarks/gpu_report/report.py",
        '("gpu", "revision", "torch")',
        '("revision", "torch")',
        (REPORT, "-k", "joined"),
    ),
    Mutant(
        "benchmarks/plots.py",
        'row["milliseconds"].get(name, math.nan)',
        'row["milliseconds"][name]',
        (REPORT, "-k", "figure"),
    ),
    # What is compared before it is timed.
    Mutant("benchmarks/agreement.py", 'results[f"gradient of {name}"] = gradient', "pass", FAULTY),
    Mutant("benchmarks/agreement.py", "if not error <= tolerance:", "if error > 1:", FAULTY),
    # Kernels that a first run on a GPU would miss.
    Mutant(
        "benchmarks/gpu_report/smoke.py",
        "for case in (SEVERAL_ROW_TILES, ALL_ROWS, LARGE)",
        "for case in (SEVERAL_ROW_TILES, ALL_ROWS)",
        ("tests/cuda_host/test_smoke.py",),
    ),
    Mutant(
        "benchmarks/gpu_report/smoke.py",
        "for case in (S1, S3, LARGE_ALL_ROWS)",
        "for case in (S1, S3)",
        ("tests/triton/test_smoke.py",),
    ),
    # Kernels that were compiled elsewhere.
    Mutant(
        "benchmarks/gpu_report/kernel_cache.py", "group.parent / Path(path).name", "Path(path)", (KIT, "-k", "cache")
    ),
]
