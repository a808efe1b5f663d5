// Selects the instruction set at run time: one binary serves every CPU.
#include "kernels.h"

#include <cstdlib>
#include <cstring>

namespace sma::cpu {

namespace baseline {
const Kernels& kernels(Dtype dtype);
}
#if defined(__x86_64__)
namespace avx2 {
const Kernels& kernels(Dtype dtype);
}
namespace avx512 {
const Kernels& kernels(Dtype dtype);
}
#endif

namespace {

using KernelTable = const Kernels& (*)(Dtype);

KernelTable select_isa() {
#if defined(__x86_64__)
  const char* requested = std::getenv("SMA_CPU_CAPABILITY");
  const bool only_baseline = requested && std::strcmp(requested, "baseline") == 0;
  const bool only_avx2 = requested && std::strcmp(requested, "avx2") == 0;
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && !only_baseline && !only_avx2) return avx512::kernels;
  if (has_avx2 && !only_baseline) return avx2::kernels;
#endif
  return baseline::kernels;
}

}  // namespace

const Kernels& kernels(Dtype dtype) {
  static const KernelTable table = select_isa();
  return table(dtype);
}

}  // namespace sma::cpu
