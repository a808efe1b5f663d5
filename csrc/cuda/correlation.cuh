// Step 4: correlation of the maps of one sample, and the maps refined by it.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "workspace.cuh"

namespace sma::cuda {

__device__ __forceinline__ float scalar(const Scalar& setting) {
  return setting.data ? *static_cast<const float*>(setting.data) : static_cast<float>(setting.value);
}

// cos becomes S in place, a warp a row; also written to `correlation` [N,N].
__device__ __forceinline__ void correlate(const Sizes& n, const Matrix& cos, float temperature,
                                          const float* relation_bias, float* correlation) {
  for (int i = warp(); i < n.maps; i += warps()) {
    const int64_t row = static_cast<int64_t>(i) * n.maps;
    float largest = -INFINITY;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float score = cos(i, j) / temperature + (relation_bias ? relation_bias[row + j] : 0.0f);
      cos(i, j) = score;
      if (beats(score, largest)) largest = score;
    }
    largest = warp_max(largest);
    float total = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      cos(i, j) = expf(cos(i, j) - largest);
      total += cos(i, j);
    }
    const float scale = 1.0f / warp_sum(total);
    for (int j = lane(); j < n.maps; j += kLanes) {
      cos(i, j) *= scale;
      correlation[row + j] = cos(i, j);
    }
  }
}

// strip[:, 0..columns) = m' at positions first.. of all maps.
template <class Mode, class Correlation>
__device__ __forceinline__ void refine(const Sizes& n, const Matrix& m, const Correlation& correlation, float gate,
                                       int first, int columns, const Matrix& strip) {
  contract<Mode>(
      n.maps, columns, n.maps, correlation, [&](int j, int l) { return m(j, first + l); },
      [&](int i, int l, float sum) {
        const float own = m(i, first + l);
        strip(i, l) = own + gate * (sum - own);
      });
}

}  // namespace sma::cuda
