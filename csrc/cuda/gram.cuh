// Steps 2 and 3: cosine Gram matrix of one sample's maps, and the hinge diversity.
#pragma once

#include "../sma_attention.h"
#include "elements.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// Turns the Gram matrix into cosines, and sets inverse_norm[i] = 1 / max(|m_i|, floor), negated if the floor applies:
// such a norm has no gradient. Barriers must precede and follow.
__device__ __forceinline__ void cosines(const Sizes& n, const Matrix& cos, float* inverse_norm) {
  for (int i = thread(); i < n.maps; i += kHeadThreads) {
    const float norm = sqrtf(cos(i, i));
    const float floor = static_cast<float>(kNormFloor);
    inverse_norm[i] = norm <= floor ? -1.0f / floor : 1.0f / norm;
  }
  sync_block();
  for_each_element(
      n.maps, n.maps, [&](int i, int j) { return cos(i, j) * (fabsf(inverse_norm[i]) * fabsf(inverse_norm[j])); },
      [&](int i, int j, float value) { cos(i, j) = value; });
}

// 1 / (R K (K-1)), the weight of one ordered pair.
__device__ __forceinline__ float pair_weight(const Sizes& n) {
  const float pairs = static_cast<float>(n.maps) * static_cast<float>(n.channels - 1);
  return 1.0f / (pairs > 0 ? pairs : 1.0f);
}

// The diversity, in thread 0 only.
__device__ __forceinline__ float hinge_diversity(const Sizes& n, const Matrix& cos, float margin, float* scratch) {
  float total = 0;
  for (int i = thread(); i < n.maps; i += kHeadThreads) {
    const int first = i / n.channels * n.channels;
#pragma unroll 1
    for (int j = first; j < first + n.channels; ++j) {
      if (j != i) total += clamp_min(cos(i, j) - margin, 0.0f);
    }
  }
  return block_sum(total, scratch) * pair_weight(n);
}

}  // namespace sma::cuda
