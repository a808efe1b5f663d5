// Steps 2 and 3: cosines between the maps of one sample, and the diversity term that reads them.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// inverse[i] = 1 / max(|m_i|, floor); negative where the floor was taken, so that a backward can tell.
__device__ __forceinline__ void invert_norms(const Sizes& n, const Matrix& m, float* inverse) {
  for (int i = warp(); i < n.maps; i += warps()) {
    float squares = 0;
    for (int l = lane(); l < n.positions; l += kLanes) squares = fmaf(m(i, l), m(i, l), squares);
    const float norm = sqrtf(warp_sum(squares));
    const float floor = static_cast<float>(kNormFloor);
    if (lane() == 0) inverse[i] = norm <= floor ? -1.0f / floor : 1.0f / norm;
  }
}

template <class Mode>
__device__ __forceinline__ void cosines(const Sizes& n, const Matrix& m, const float* inverse, const Matrix& cos) {
  contract<Mode>(
      n.maps, n.maps, n.positions, [&](int i, int l) { return m(i, l); }, [&](int l, int j) { return m(j, l); },
      [&](int i, int j, float sum) { cos(i, j) = sum * fabsf(inverse[i]) * fabsf(inverse[j]); });
}

// 1 / (R K (K-1)), the weight of one ordered pair.
__device__ __forceinline__ float pair_weight(const Sizes& n) {
  const float pairs = static_cast<float>(n.maps) * static_cast<float>(n.channels - 1);
  return 1.0f / (pairs > 0 ? pairs : 1.0f);
}

__device__ __forceinline__ bool paired(const Sizes& n, int i, int j) {
  return i != j && i / n.channels == j / n.channels;
}

// Thread 0 returns the diversity.
__device__ __forceinline__ float diversity(const Sizes& n, const Matrix& cos, float margin, float* scratch) {
  float total = 0;
  for (int i = thread(); i < n.maps; i += threads()) {
    const int first = i / n.channels * n.channels;
    for (int j = first; j < first + n.channels; ++j) {
      if (j != i) total += at_least(cos(i, j) - margin, 0.0f);
    }
  }
  return block_sum(total, scratch) * pair_weight(n);
}

}  // namespace sma::cuda
