// Step 4: correlation S of one sample's maps, and the refinement by it.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "workspace.cuh"

namespace sma::cuda {

__device__ __forceinline__ float scalar(const Scalar& setting) {
  return setting.data ? *static_cast<const float*>(setting.data) : static_cast<float>(setting.value);
}

// Turns cos into S in place and writes it to `correlation` [N,N]. One warp per row.
__device__ __forceinline__ void correlation(const Sizes& n, const Matrix& cos, float temperature,
                                            const float* relation_bias, float* correlation) {
  for (int i = warp(); i < n.maps; i += warps()) {
    const int64_t row = static_cast<int64_t>(i) * n.maps;
    float row_max = -INFINITY;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float score = cos(i, j) / temperature + (relation_bias ? relation_bias[row + j] : 0.0f);
      cos(i, j) = score;
      if (greater_or_nan(score, row_max)) row_max = score;
    }
    row_max = warp_max(row_max);
    float row_sum = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      cos(i, j) = expf(cos(i, j) - row_max);
      row_sum += cos(i, j);
    }
    const float scale = 1.0f / warp_sum(row_sum);
    for (int j = lane(); j < n.maps; j += kLanes) {
      cos(i, j) *= scale;
      correlation[row + j] = cos(i, j);
    }
  }
}

// strip[:, 0..columns) = refined maps m' at positions first.. of all maps.
template <class Mma, class Correlation>
__device__ __forceinline__ void refine(const Sizes& n, const Matrix& m, const Correlation& correlation, float gate,
                                       int first, int columns, const Matrix& strip) {
  block_matmul<Mma>(
      n.maps, columns, n.maps, correlation, [&](int j, int l) { return m(j, first + l); },
      [&](int i, int l, float sum) {
        const float unrefined = m(i, first + l);
        strip(i, l) = unrefined + gate * (sum - unrefined);
      });
}

}  // namespace sma::cuda
