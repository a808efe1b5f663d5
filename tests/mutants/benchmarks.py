"""Mutants of the GPU report, its kit and the checks of the benchmarks."""

from tests.mutants.mutant import Mutant

REPORT = "tests/benchmarks/test_gpu_report.py"
RUNS = "tests/benchmarks/test_gpu_commands.py"
TABLES = "tests/benchmarks/test_gpu_report_tables.py"
KIT = "tests/benchmarks/test_gpu_kit.py"
COMMANDS = "benchmarks/gpu_report/commands.py"
FAULTY = ("tests/benchmarks/test_gpu_faulty_cells.py",)

MUTANTS = [
    # Processes.
    Mutant(COMMANDS, "os.killpg(process.pid, signal.SIGKILL)", "process.kill()", (RUNS, "-k", "leaves")),
    Mutant(COMMANDS, "if own_limit <= left else TIME_UP", "if True else TIME_UP", (RUNS, "-k", "cut_short")),
    Mutant(COMMANDS, 'text.replace(f"{folder}{os.sep}", "")', "text", (RUNS, "-k", "no_folder")),
    Mutant(COMMANDS, "            self.kill()\n        seconds", "        seconds", (RUNS, "-k", "ends_leaves")),
    Mutant(
        COMMANDS,
        "self.process.wait(max(0.1, limit - grace))",
        "self.process.wait()",
        (RUNS, "-k", "a_stopped_command"),
    ),
    Mutant(COMMANDS, "self.process.send_signal(signal.SIGINT)", "pass", (RUNS, "-k", "stopped_pytest")),
    Mutant(COMMANDS, "    signal.signal(signal.SIGINT, signal.SIG_DFL)\n", "", (RUNS, "-k", "stopped_pytest")),
    Mutant(COMMANDS, "                    preexec_fn=_set_signals,\n", "", (RUNS, "-k", "killed_report")),
    Mutant(COMMANDS, '"PYTHONUNBUFFERED": "1", ', "", (RUNS, "-k", "a_stopped_command")),
    Mutant(COMMANDS, "            if left() <= 0:\n                return\n", "", (RUNS, "-k", "end_with_the_time")),
    Mutant(
        COMMANDS,
        "        for process in started:\n            process.kill()",
        "        pass",
        (RUNS, "-k", "waiting_command"),
    ),
    Mutant(
        COMMANDS,
        "            if following:\n                started.append(Process(following, folder))\n",
        "",
        (RUNS, "-k", "in_turn"),
    ),
    Mutant(COMMANDS, "with suppress(json.JSONDecodeError):", "if True:", (RUNS, "-k", "a_stopped_command")),
    # Effects of a failing cell.
    Mutant(
        "benchmarks/gpu_report/measure.py",
        "            except Exception as error:",
        "            except KeyError as error:",
        FAULTY,
    ),
    Mutant("benchmarks/gpu_report/steps.py", 'if status not in ("ok", TIME_UP):', 'if status == "never":', FAULTY),
    Mutant(
        "benchmarks/gpu_report/report_file.py",
        'known.get("errors", {}) | row.get("errors", {})',
        'row.get("errors", {})',
        (TABLES, "-k", "one_by_one"),
    ),
    Mutant(
        "benchmarks/gpu_report/report_file.py",
        '("gpu", "revision", "torch")',
        '("revision", "torch")',
        (TABLES, "-k", "joined"),
    ),
    Mutant(
        "benchmarks/plots.py",
        'row["milliseconds"].get(name, math.nan)',
        'row["milliseconds"][name]',
        (TABLES, "-k", "gaps"),
    ),
    # Comparisons before timing.
    Mutant("benchmarks/agreement.py", 'results[f"gradient of {name}"] = gradient', "pass", FAULTY),
    Mutant("benchmarks/agreement.py", "if not error <= allowed:", "if error > 1:", FAULTY),
    Mutant("benchmarks/gpu_report/markdown.py", "return AGREEMENT not in", "return True or AGREEMENT not in", FAULTY),
    Mutant(
        "benchmarks/gpu_report/smoke.py",
        "float(draw[name]) ** 2 for draw in draws",
        "float(draw[name]) ** 2 for draw in draws[:1]",
        (REPORT, "-k", "nearly_vanish"),
    ),
    Mutant("benchmarks/gpu_report/steps.py", "int(memory / gib)", "most", (REPORT, "-k", "gpu_holds")),
    # Kernels that a first run on a GPU would miss.
    Mutant(
        "benchmarks/gpu_report/smoke.py",
        "for case in (SEVERAL_ROW_TILES, ALL_ROWS, LARGE)",
        "for case in (SEVERAL_ROW_TILES, ALL_ROWS)",
        ("tests/cuda_emulator/test_smoke.py",),
    ),
    Mutant(
        "benchmarks/gpu_report/smoke.py",
        "for case in (S1, S3, LARGE_ALL_ROWS)",
        "for case in (S1, S3)",
        ("tests/triton/test_triton_smoke.py",),
    ),
    # Kernels that were compiled elsewhere.
    Mutant(
        "benchmarks/gpu_report/kernel_cache.py", "group.parent / Path(path).name", "Path(path)", (KIT, "-k", "cache")
    ),
]
