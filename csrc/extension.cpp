// The extension module: it carries the build facts; the operators register themselves with the dispatcher.
#include <pybind11/pybind11.h>

#include "cpu/kernels.h"

PYBIND11_MODULE(_C, m) {
  m.doc() = "Compiled kernels of sma_kernels";
  m.attr("compiler") = __VERSION__;
  m.attr("cpu_instructions") = sma::cpu::kernels(sma::Dtype::f32).instructions;
}
