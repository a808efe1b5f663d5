# `make demo` and `make test` do all the set-up; everything else builds on the same environment.
PYTHON ?= python3
PYTHON312 ?= python3.12
VENV ?= .venv
RUN = $(VENV)/bin/python
SOURCES = setup.py pyproject.toml constraints.txt $(shell find csrc -type f)
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt
WHEEL_VENV = build/wheel-venv
# 1 compiles the CUDA kernels too, which takes minutes.
export SMA_CUDA ?= 0

.PHONY: demo test test-triton test-cuda lint bench mutants wheel test-wheel test-py312 clean

demo: $(VENV)/.ready
	$(VENV)/bin/sma-net demo

test: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" tests --ignore=tests/cuda_host --ignore=tests/triton

# The Triton kernels under Triton's interpreter and as machine code; minutes.
test-triton: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" tests/triton
	TRITON_INTERPRET=1 $(RUN) -m pytest -q -m "not slow" tests/triton/interpreter

# The CUDA kernels on an emulated card and as machine code; needs nvcc; minutes.
test-cuda: $(VENV)/.ready
	$(RUN) -m pytest -q -m "not slow" tests/cuda_host

lint: $(VENV)/.ready
	$(RUN) -m ruff check .
	$(RUN) -m mypy

bench: $(VENV)/.ready
	$(RUN) -m pytest -q benchmarks --benchmark-columns=median,iqr,rounds --benchmark-sort=name
	$(RUN) -m benchmarks.compare

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
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/sma_kernels-*.whl
	cd / && $(CURDIR)/$(WHEEL_VENV)/bin/python -m sma_kernels.info --require cpu

# Install and smoke tests under Python 3.12.
test-py312:
	$(MAKE) PYTHON=$(PYTHON312) VENV=.venv-py312 .venv-py312/.ready
	.venv-py312/bin/python -m pytest -q tests/test_install.py tests/operators/test_layouts.py

clean:
	rm -rf build dist $(VENV)/.ready sma_kernels/_C.*.so sma_kernels/_build.json *.egg-info

# The operator tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer; minutes.
.PHONY: test-asan
test-asan: $(VENV)/.ready
	sh tools/test_asan.sh $(abspath $(RUN))
