// Forward, last launch if blocks share the positions of a sample: adds their parts of the pooled values, in order.
#pragma once

#include "math.cuh"

namespace sma::cuda {

constexpr int kPooledThreads = 128;

template <class T>
struct PooledParts {
  const float* parts;  // [chunks,B,A,C]
  T* pooled;           // [B,A,C]
  int64_t count;       // B*A*C
  int chunks;
};

template <class T>
__global__ void __launch_bounds__(kPooledThreads) reduce_pooled(const __grid_constant__ PooledParts<T> p) {
  const int64_t element = block() * kPooledThreads + thread();
  if (element >= p.count) return;
  float total = 0;
#pragma unroll 8
  for (int chunk = 0; chunk < p.chunks; ++chunk) total += p.parts[chunk * p.count + element];
  p.pooled[element] = from_acc<T>(total);
}

}  // namespace sma::cuda
