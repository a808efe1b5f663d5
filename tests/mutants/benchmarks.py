"""Mutants of the GPU report, its kit and the checks of the benchmarks."""

from tests.mutants.mutant import Mutant

REPORT = "tests/benchmarks/test_gpu_report.py"
RUNS = "tests/benchmarks/test_gpu_commands.py"
TABLES = "tests/benchmarks/test_gpu_report_tables.py"
KIT = "tests/benchmarks/test_gpu_kit.py"
COMMANDS = "benchmarks/gpu_report/commands.py"
JOBS = "tests/benchmarks/test_jobs.py"
SUMMARY = ("tests/benchmarks/test_performance_tables.py",)
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
    Mutant(
        COMMANDS,
        "                    preexec_fn=partial(_set_signals, os.getpid()),\n",
        "",
        (RUNS, "-k", "killed_report"),
    ),
    Mutant(COMMANDS, "if os.getppid() != parent:", "if False:", (RUNS, "-k", "does_not_start")),
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
    # Shapes and rows of the comparisons on a CPU.
    Mutant("benchmarks/shapes.py", "batch=min(shape.batch, CPU_BATCH)", "batch=CPU_BATCH", (JOBS, "-k", "one_sample")),
    Mutant("benchmarks/shapes.py", "1 if self.shared else self.channels", "self.channels", (JOBS, "-k", "a_bag")),
    Mutant(
        "benchmarks/shapes.py",
        "channels, shape.height, shape.width)",
        "channels, shape.width, shape.height)",
        (JOBS, "-k", "a_bag"),
    ),
    Mutant(
        "benchmarks/shapes.py",
        'total if merge == "none" else shape.regions',
        "shape.regions",
        ("tests/benchmarks/test_roofline.py", "-k", "S2"),
    ),
    Mutant(
        "benchmarks/jobs.py",
        "for merge in _merges(function, shape)",
        'for merge in ("max",)',
        (JOBS, "-k", "every_shape"),
    ),
    Mutant("benchmarks/jobs.py", 'CPU_SHAPES if function == "sma_attention" else PART_SHAPES', "PART_SHAPES", (JOBS,)),
    Mutant(
        "benchmarks/baselines.py",
        'with_backend(function, "reference", **settings)\n    makers',
        'with_backend(function, "reference")\n    makers',
        (JOBS, "-k", "merge_reaches"),
    ),
    Mutant(
        "benchmarks/baselines.py",
        "unflatten(1, (-1, width))",
        "unflatten(1, (channels, width))",
        (JOBS, "-k", "one_group"),
    ),
    Mutant("benchmarks/gate.py", " if row in committed}", "}", ("tests/benchmarks/test_gate.py", "-k", "without_a")),
    Mutant("benchmarks/gpu_report/steps.py", ".merges[1:]", ".merges", (REPORT, "-k", "times_each_cell_once")),
    # The module: with its convolution, its own parameters and nothing else.
    Mutant(
        "benchmarks/module.py",
        "        setattr(module.get_submodule(owner), parameter, tensors[name])\n",
        "        pass\n",
        (JOBS, "-k", "in_training"),
    ),
    Mutant("benchmarks/module.py", "if tensors is not self.tensors:", "if True:", (JOBS, "-k", "made_once")),
    Mutant(
        "benchmarks/module.py", "if tensors is not self.tensors:", "if not self.tensors:", (JOBS, "-k", "made_once")
    ),
    Mutant(
        "benchmarks/module.py",
        'conv2d(tensors["x"], tensors',
        'conv2d(tensors["x"].detach(), tensors',
        (JOBS, "-k", "products_of_its_convolution"),
    ),
    Mutant(
        "benchmarks/module.py",
        'return self.call(tensors["x"])',
        'return self.call(tensors["x"].detach())',
        (JOBS, "-k", "in_training or products_of_its_convolution"),
    ),
    Mutant("benchmarks/performance_tables.py", "min(multiples)", "max(multiples)", SUMMARY),
    Mutant(
        "benchmarks/performance_tables.py",
        "extent(MODULE, 'convolution', '.0%')",
        "extent(MODULE, 'eager', '.0%')",
        SUMMARY,
    ),
]
