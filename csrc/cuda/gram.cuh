// Steps 2 and 3: cosine Gram matrix of one sample's maps, and the hinge diversity.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// inverse_norm[i] = 1 / max(|m_i|, floor), negated if the floor applies: such a norm has no gradient. One warp per row.
__device__ __forceinline__ void inverse_norms(const Sizes& n, const Matrix& m, float* inverse_norm) {
  for (int i = warp(); i < n.maps; i += warps()) {
    float squares = 0;
    for (int l = lane(); l < n.positions; l += kLanes) squares = fmaf(m(i, l), m(i, l), squares);
    const float norm = sqrtf(warp_sum(squares));
    const float floor = static_cast<float>(kNormFloor);
    if (lane() == 0) inverse_norm[i] = norm <= floor ? -1.0f / floor : 1.0f / norm;
  }
}

template <class Mma>
__device__ __forceinline__ void cosine_gram(const Sizes& n, const Matrix& m, const float* inverse_norm,
                                            const Matrix& cos) {
  block_matmul<Mma>(
      n.maps, n.maps, n.positions, [&](int i, int l) { return m(i, l); }, [&](int l, int j) { return m(j, l); },
      [&](int i, int j, float sum) { cos(i, j) = sum * fabsf(inverse_norm[i]) * fabsf(inverse_norm[j]); });
}

// 1 / (R K (K-1)), the weight of one ordered pair.
__device__ __forceinline__ float pair_weight(const Sizes& n) {
  const float pairs = static_cast<float>(n.maps) * static_cast<float>(n.channels - 1);
  return 1.0f / (pairs > 0 ? pairs : 1.0f);
}

// The diversity, in thread 0 only.
__device__ __forceinline__ float hinge_diversity(const Sizes& n, const Matrix& cos, float margin, float* scratch) {
  float total = 0;
  for (int i = thread(); i < n.maps; i += threads()) {
    const int first = i / n.channels * n.channels;
    for (int j = first; j < first + n.channels; ++j) {
      if (j != i) total += clamp_min(cos(i, j) - margin, 0.0f);
    }
  }
  return block_sum(total, scratch) * pair_weight(n);
}

}  // namespace sma::cuda
