# `make demo` and `make test` do all the set-up; everything else builds on the same environment.
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
RUN = $(VENV)/bin/python
export PATH := $(abspath $(VENV))/bin:$(PATH)
SOURCES = setup.py pyproject.toml $(CONSTRAINTS) tools/build_jobs.py tools/cuda_build.py $(shell find csrc -type f)
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
WHEEL_VENV = build/wheel-venv
OLDEST_VENV = $(CURDIR)/.venv-oldest
OLDEST_TREE = build/oldest
IN_OLDEST = cd $(OLDEST_TREE) && env PATH="$(OLDEST_VENV)/bin:$$PATH"
# The GPU of this machine; without one, one architecture is enough to compile, link and import the CUDA kernels.
export TORCH_CUDA_ARCH_LIST ?= $(shell nvidia-smi -L >/dev/null 2>&1 || echo 9.0)

.PHONY: demo test test-core test-cuda test-triton codegen-full lint bench bench-gate mutants
.PHONY: wheel test-wheel test-pip-toolkit oldest test-oldest clean
.PHONY: gpu-report gpu-report-dry-run gpu-kit

demo: $(VENV)/.ready
	$(VENV)/bin/sma-net demo

test: test-core test-cuda test-triton

test-core: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" -n auto --dist loadfile tests --ignore=tests/cuda_emulator --ignore=tests/triton

# The CUDA kernels on an emulated GPU and as machine code.
test-cuda: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" -n auto tests/cuda_emulator

# The Triton kernels as machine code, and in a process of their own under Triton's interpreter.
test-triton: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" -n auto tests/triton
	TRITON_INTERPRET=1 $(RUN) -m pytest -q -m "not slow" -n auto tests/triton/interpreter

# Every row of the table of Triton's machine code, compiled anew.
codegen-full: $(VENV)/.ready
	$(RUN) -m pytest -q -n auto tests/triton/test_codegen.py

lint: $(VENV)/.ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check --quiet .
	git ls-files '*.h' '*.cpp' '*.cuh' '*.cu' | xargs $(VENV)/bin/clang-format --dry-run -Werror
	$(RUN) -m mypy

# Every table and plot of benchmarks/results; about an hour on two quiet cores.
bench: $(VENV)/.ready
	$(RUN) -m pytest -q benchmarks --benchmark-columns=median,iqr,rounds --benchmark-sort=name
	$(RUN) -m benchmarks.compare
	$(RUN) -m benchmarks.scaling
	$(RUN) -m benchmarks.training_step

# Fails where the CPU kernels have become slower, beside eager PyTorch, than the committed ratios.
bench-gate: $(VENV)/.ready
	$(RUN) -m benchmarks.gate

mutants: $(VENV)/.ready
	$(RUN) -m tests.mutants

# The environment: torch first, since the extension is compiled against it.
$(VENV)/.ready: $(SOURCES)
	@sh tools/check_machine.sh "$(PYTHON)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch and the build tools (about 6 GB on a first run) ..."
	@$(PIP) torch torchvision setuptools wheel pybind11 ninja
	@echo "Building and installing sma-kernels ..."
	@$(PIP) --no-build-isolation -e ".[test]"
	@$(RUN) -m sma_kernels.info
	@touch $@

wheel: $(VENV)/.ready
	$(RUN) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# The wheel in a fresh environment, imported from another folder.
test-wheel: wheel
	rm -rf $(WHEEL_VENV) && $(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) dist/sma_kernels-*.whl
	cd / && $(CURDIR)/$(WHEEL_VENV)/bin/python -m sma_kernels.info --require cpu

# The CUDA kernels compiled by the nvcc that pip brings, as on a machine without a toolkit.
test-pip-toolkit: $(VENV)/.ready
	$(RUN) -m pytest -q -m slow tests/cuda_emulator/test_pip_toolkit.py

# The last commit, built under Python 3.12 against the oldest supported torch. It is built in a clone because the build facts
# beside the compiled module belong to one torch.
oldest:
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || \
	  { echo "sma-kernels: $(PYTHON312) is no Python 3.12 that runs; install it, or set PYTHON312=..." >&2; exit 1; }
	@test -d $(OLDEST_TREE)/.git || git clone --quiet . $(OLDEST_TREE)
	@git -C $(OLDEST_TREE) fetch --quiet $(CURDIR) HEAD
	@git -C $(OLDEST_TREE) checkout --quiet --force --detach FETCH_HEAD
	$(MAKE) -C $(OLDEST_TREE) PYTHON=$(PYTHON312) VENV=$(OLDEST_VENV) CONSTRAINTS=constraints-oldest.txt $(OLDEST_VENV)/.ready

# What another torch or Triton may change: the build, the operators, tracing, Triton's machine code and its interpreter.
test-oldest: oldest
	$(IN_OLDEST) python -m pytest -q -m "not slow" tests/test_install.py tests/operators tests/torch_integration
	$(IN_OLDEST) python -m pytest -q -m "not slow" -n auto tests/triton tests/benchmarks/test_gpu_kit.py
	$(IN_OLDEST) TRITON_INTERPRET=1 python -m pytest -q -m "not slow" -n auto tests/triton/interpreter

# Tests, times and checks of the GPU kernels, for whoever has a GPU; an hour at most. Send back what it leaves.
gpu-report: $(VENV)/.ready
	$(RUN) -m benchmarks.gpu_report --out build/gpu-report
	tar -C build -czf build/gpu-report.tar.gz gpu-report
	@echo "Please send back build/gpu-report.tar.gz"

gpu-report-dry-run: $(VENV)/.ready
	$(RUN) -m benchmarks.gpu_report --dry-run --out build/gpu-report-dry-run

# An archive for a machine with a GPU, Python 3.12, torch 2.11 and Triton 3.6 that is lent for minutes. QUICK=1 leaves the
# kernels of the operator tests out.
gpu-kit: oldest
	$(IN_OLDEST) python -m benchmarks.gpu_kit --out $(CURDIR)/build/gpu-kit.tar.xz $(if $(QUICK),--quick)

clean:
	rm -rf build dist $(VENV)/.ready sma_kernels/_C.*.so sma_kernels/_build.json *.egg-info

# The operator tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer; minutes.
.PHONY: test-asan
test-asan: $(VENV)/.ready
	sh tools/test_asan.sh $(abspath $(RUN))
