// Backward of the pooling and the merge: the gradient of the refined maps of one sample.
#pragma once

#include "../sma_attention.h"
#include "workspace.cuh"

namespace sma::cuda {

// share[a] = [sum of A > floor] * sum over c of df[a,c] f[a,c]: the part of dA that comes through the sum of A.
template <class T>
__device__ __forceinline__ void pooled_shares(const Sizes& n, const T* grad_pooled, const T* pooled,
                                              const float* attention_sum, int64_t sample, float* share) {
  for (int row = warp(); row < n.rows; row += warps()) {
    const int64_t at = sample * n.rows + row;
    float total = 0;
    for (int c = lane(); c < n.values; c += kLanes) {
      total = fmaf(widen(grad_pooled[at * n.values + c]), widen(pooled[at * n.values + c]), total);
    }
    total = warp_sum(total);
    if (lane() == 0) share[row] = attention_sum[at] <= static_cast<float>(kSumFloor) ? 0.0f : total;
  }
}

// d [N,L] = gradient of m' from `partial` (slices of df X; null without a gradient of pooled) and from the gradient of
// A (may be null).
template <class T>
__device__ __forceinline__ void merge_backward(const Sizes& n, Merge merge, const float* partial, int slices,
                                               const float* share, const float* attention_sum,
                                               const T* grad_attention, const uint8_t* winner, int64_t sample,
                                               const Matrix& d) {
  const int64_t area = static_cast<int64_t>(n.rows) * n.positions;
  for (int row = warp(); row < n.rows; row += warps()) {
    const float floored =
        partial ? at_least(attention_sum[sample * n.rows + row], static_cast<float>(kSumFloor)) : 1.0f;
    for (int l = lane(); l < n.positions; l += kLanes) {
      const int64_t at = static_cast<int64_t>(row) * n.positions + l;
      float gradient = 0;
      if (partial) {
        for (int slice = 0; slice < slices; ++slice) gradient += partial[(sample * slices + slice) * area + at];
        gradient = (gradient - share[row]) / floored;
      }
      if (grad_attention) gradient += widen(grad_attention[sample * area + at]);
      if (merge == Merge::none) {
        d(row, l) = gradient;
      } else if (merge == Merge::mean) {
        for (int k = 0; k < n.channels; ++k) {
          d(row * n.channels + k, l) = gradient / static_cast<float>(n.channels);
        }
      } else {
        const int best = winner[sample * area + at];
        for (int k = 0; k < n.channels; ++k) d(row * n.channels + k, l) = k == best ? gradient : 0.0f;
      }
    }
  }
}

}  // namespace sma::cuda
