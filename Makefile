# `make demo` and `make test` create the environment; every other target builds on the same one.
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
RUN = $(VENV)/bin/python
export PATH := $(abspath $(VENV))/bin:$(PATH)
SOURCES = setup.py pyproject.toml $(CONSTRAINTS) tools/build_jobs.py tools/cuda_build.py $(shell find csrc -type f)
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
PYTEST = $(RUN) -m pytest -q -m "not slow" -n auto
WHEEL_VENV = build/wheel-venv
OLDEST_VENV = $(CURDIR)/.venv-oldest
OLDEST_TREE = build/oldest
IN_OLDEST = cd $(OLDEST_TREE) && env PATH="$(OLDEST_VENV)/bin:$$PATH"
# Build for the GPU in this machine; without one, a single architecture is enough to compile, link and import the CUDA kernels.
export TORCH_CUDA_ARCH_LIST ?= $(shell nvidia-smi -L >/dev/null 2>&1 || echo 9.0)
# At least one test of each part: operators, registration, public API, network, training, documentation, mutants, imports.
FAST_TESTS = tests/test_api.py tests/test_imports.py tests/test_docs_code.py tests/test_mutants.py tests/operators/test_registration.py \
  tests/operators/test_layouts.py tests/operators/test_accuracy.py::test_gradients_are_those_of_the_formula \
  tests/operators/test_accuracy.py::test_error_rule_at_odd_sizes tests/training/test_losses.py \
  tests/training/test_training.py::test_action_units_that_colours_tell_are_learned

.PHONY: help demo test test-fast test-core test-cuda test-triton test-asan codegen-full lint bench bench-gate mutants
.PHONY: wheel test-wheel test-pip-toolkit oldest test-oldest gpu-report gpu-report-dry-run gpu-kit clean

demo: $(VENV)/.ready ## Train SMA-Net on synthetic faces and draw its attention
	$(VENV)/bin/sma-net demo

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-20s %s\n", $$1, $$2 }'

test: test-core test-cuda test-triton ## Run all tests except the slow ones and those that need a GPU

test-fast: $(VENV)/.ready ## Run a selection of the tests, in less than two minutes
	$(PYTEST) $(FAST_TESTS)

test-core: $(VENV)/.ready ## Test the operators on the CPU, the models, the commands and the documentation
	$(PYTEST) --dist loadfile --durations=20 tests --ignore=tests/cuda_emulator --ignore=tests/triton

test-cuda: $(VENV)/.ready ## Test the CUDA kernels on an emulated GPU, and their machine code
	$(PYTEST) tests/cuda_emulator

# The interpreter replaces Triton's compiler for a whole process, so its tests run in a separate one.
test-triton: $(VENV)/.ready ## Test the Triton kernels in Triton's interpreter, and their machine code
	$(PYTEST) tests/triton
	TRITON_INTERPRET=1 $(PYTEST) tests/triton/interpreter

test-asan: $(VENV)/.ready ## Run the operator tests under AddressSanitizer and UndefinedBehaviorSanitizer
	sh tools/test_asan.sh $(abspath $(RUN))

codegen-full: $(VENV)/.ready ## Compile every Triton kernel and compare the whole table of machine code
	$(RUN) -m pytest -q -n auto tests/triton/test_codegen.py

lint: $(VENV)/.ready ## Run the linter, the formatters and the type checker
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check --quiet .
	git ls-files '*.h' '*.cpp' '*.cuh' '*.cu' | xargs $(VENV)/bin/clang-format --dry-run -Werror
	$(RUN) -m mypy

bench: $(VENV)/.ready ## Measure every table and figure of benchmarks/results; an hour on two idle cores
	$(RUN) -m pytest -q benchmarks --benchmark-columns=median,iqr,rounds --benchmark-sort=name --benchmark-max-time=0.5
	$(RUN) -m benchmarks.compare
	$(RUN) -m benchmarks.scaling
	$(RUN) -m benchmarks.training_step

bench-gate: $(VENV)/.ready ## Fail if the CPU kernels have become slower relative to eager PyTorch
	$(RUN) -m benchmarks.gate

mutants: $(VENV)/.ready ## Check that the tests catch every mutant; hours
	$(RUN) -m tests.mutants

# torch comes first because the extension is compiled against it.
$(VENV)/.ready: $(SOURCES)
	@sh tools/check_machine.sh "$(PYTHON)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch and the build tools (about 6 GB on a first run) ..."
	@$(PIP) torch torchvision setuptools wheel pybind11 ninja
	@echo "Building and installing sma-kernels ..."
	@$(PIP) --no-build-isolation -e ".[test]"
	@$(RUN) -m sma_kernels.info
	@touch $@

wheel: $(VENV)/.ready ## Build a wheel in dist/
	$(RUN) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Run from / so that the installed package is imported, not the sources.
test-wheel: wheel ## Install the wheel in a fresh environment and run every module that it ships
	rm -rf $(WHEEL_VENV) && $(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) dist/sma_kernels-*.whl
	cd / && $(CURDIR)/$(WHEEL_VENV)/bin/python -m sma_kernels.info --require cpu
	cd / && $(CURDIR)/$(WHEEL_VENV)/bin/python $(CURDIR)/tools/check_wheel.py

test-pip-toolkit: $(VENV)/.ready ## Compile the CUDA kernels with the nvcc from pip
	$(RUN) -m pytest -q -m slow tests/cuda_emulator/test_pip_toolkit.py

# Built in a clone because the compiled module and its build facts belong to one version of torch.
oldest: ## Build the last commit with Python 3.12 and the oldest supported torch
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || \
	  { echo "sma-kernels: $(PYTHON312) is not a working Python 3.12; install it, or set PYTHON312=..." >&2; exit 1; }
	@test -d $(OLDEST_TREE)/.git || git clone --quiet . $(OLDEST_TREE)
	@git -C $(OLDEST_TREE) fetch --quiet $(CURDIR) HEAD
	@git -C $(OLDEST_TREE) checkout --quiet --force --detach FETCH_HEAD
	$(MAKE) -C $(OLDEST_TREE) PYTHON=$(PYTHON312) VENV=$(OLDEST_VENV) CONSTRAINTS=constraints-oldest.txt $(OLDEST_VENV)/.ready

# Only what another version of torch or Triton can break: the build, the operators, tracing, the Triton kernels.
test-oldest: oldest ## Test the last commit with the oldest supported torch
	$(IN_OLDEST) python -m pytest -q -m "not slow" tests/test_install.py tests/operators tests/torch_integration
	$(IN_OLDEST) python -m pytest -q -m "not slow" -n auto tests/triton tests/benchmarks/test_gpu_kit.py
	$(IN_OLDEST) TRITON_INTERPRET=1 python -m pytest -q -m "not slow" -n auto tests/triton/interpreter

gpu-report: $(VENV)/.ready ## Test and time the kernels on the GPU of this machine; an hour at most
	$(RUN) -m benchmarks.gpu_report --out build/gpu-report
	tar -C build -czf build/gpu-report.tar.gz gpu-report
	@echo "Please send back build/gpu-report.tar.gz"

gpu-report-dry-run: $(VENV)/.ready ## Run the steps of gpu-report on the CPU, at small sizes
	$(RUN) -m benchmarks.gpu_report --dry-run --out build/gpu-report-dry-run

# For Python 3.12, torch 2.11 and Triton 3.6. QUICK=1 leaves out the kernels of the operator tests.
gpu-kit: oldest ## Pack precompiled kernels and tests for a GPU that is available for minutes only
	$(IN_OLDEST) python -m benchmarks.gpu_kit --out $(CURDIR)/build/gpu-kit.tar.xz $(if $(QUICK),--quick)

clean: ## Remove everything that was built
	rm -rf build dist $(VENV)/.ready sma_kernels/_C.*.so sma_kernels/_build.json *.egg-info
