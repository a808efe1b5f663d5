#!/bin/sh
# The operator tests on a build of the C++ code with AddressSanitizer and UndefinedBehaviorSanitizer: test_asan.sh PYTHON
# The build lies in build/asan, apart from the one in use; what has not changed is not compiled again.
set -eu
python=$1
tree=build/asan
mkdir -p "$tree"
tar -cf - --exclude='*.so' --exclude=_build.json --exclude=__pycache__ \
    csrc sma_kernels sma_models tests tools setup.py pyproject.toml README.md LICENSE | tar -xf - -C "$tree"
cd "$tree"
export PYTHONPATH="$PWD" SMA_CUDA=0 OMP_WAIT_POLICY=PASSIVE
SMA_SANITIZE=1 "$python" -W ignore setup.py -q build_ext --inplace
# Without libstdc++ the first C++ exception ends the process: libasan looks for the library's throw before it is loaded.
# Python and torch keep memory until they end, which is no leak of ours.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# The sanitizers write to the process's own standard error, which pytest would otherwise keep when they end it.
exec "$python" -m pytest -q --capture=sys -p no:cacheprovider -m "not slow" tests/torch_integration/test_raw_operators.py \
    tests/operators/test_edges.py tests/operators/test_layouts.py tests/operators/test_accuracy.py
