#!/bin/sh
# Checks the prerequisites before anything is downloaded. Argument: the Python to use.
python="$1"
fail() {
  echo "sma-kernels: $1" >&2
  exit 1
}
command -v "$python" >/dev/null || fail "$python was not found; install Python 3.11 or newer, or set PYTHON=..."
"$python" -c "" || fail "$python does not run"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"
"$python" -c 'import sys, sysconfig, os
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
  fail "Python.h is missing; on Debian and Ubuntu: apt-get install python3-dev"
for compiler in ${CXX:-c++ g++ clang++}; do
  command -v "$compiler" >/dev/null && exit 0
done
[ "$SMA_BUILD" = 0 ] || fail "no C++ compiler was found; on Debian and Ubuntu: apt-get install g++ (SMA_BUILD=0 installs without compiled kernels)"
