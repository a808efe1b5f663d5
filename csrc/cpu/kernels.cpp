// Chooses the instruction set when the program runs: one binary serves every CPU.
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

using Table = const Kernels& (*)(Dtype);

Table choose() {
#if defined(__x86_64__)
  const char* asked = std::getenv("SMA_CPU_CAPABILITY");
  const bool narrow = asked && std::strcmp(asked, "baseline") == 0, no_wide = asked && std::strcmp(asked, "avx2") == 0;
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (has_avx512 && !narrow && !no_wide) return avx512::kernels;
  if (has_avx2 && !narrow) return avx2::kernels;
#endif
  return baseline::kernels;
}

}  // namespace

const Kernels& kernels(Dtype dtype) {
  static const Table table = choose();
  return table(dtype);
}

}  // namespace sma::cpu
