// The kernels for x86-64 with AVX512.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#endif
#define SMA_ISA avx512
#define SMA_VECTOR_BYTES 64
#include "instruction_set.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
