#!/bin/sh
# The operator tests on a build of the C++ code with AddressSanitizer and UndefinedBehaviorSanitizer: test_asan.sh PYTHON
# It is built in build/asan, separate from the regular build; unchanged files are not recompiled.
set -eu
python=$1
tree=build/asan
mkdir -p "$tree"
tar -cf - --exclude='*.so' --exclude=_build.json --exclude=__pycache__ \
    csrc sma_kernels sma_models tests tools setup.py pyproject.toml README.md LICENSE | tar -xf - -C "$tree"
cd "$tree"
export PYTHONPATH="$PWD" SMA_CUDA=0 OMP_WAIT_POLICY=PASSIVE
SMA_SANITIZE=1 "$python" -W ignore setup.py -q build_ext --inplace
# libasan looks up the throw function of libstdc++ at startup; unless the library is preloaded, the first C++ exception aborts.
# Leak detection is off because Python and torch keep memory until they exit.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# The sanitizers write to file descriptor 2 before they abort; pytest's default capture would lose that output.
exec "$python" -m pytest -q --capture=sys -p no:cacheprovider -m "not slow" tests/torch_integration/test_raw_operators.py \
    tests/operators/test_edges.py tests/operators/test_layouts.py tests/operators/test_accuracy.py
