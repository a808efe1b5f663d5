// Backward of pooling and merge: the gradient of one sample's refined maps.
#pragma once

#include "../sma_attention.h"
#include "workspace.cuh"

namespace sma::cuda {

// The map whose row of d holds the gradient of a row of A until merge_backward.
__device__ __forceinline__ int first_map(const Sizes& n, Merge merge, int row) {
  return merge == Merge::none ? row : row * n.channels;
}

// d of each row's first map = df X, the sum of `partial` over slices. One warp per row.
__device__ __forceinline__ void gather_partial(const Sizes& n, Merge merge, const float* partial, int slices,
                                               int64_t sample, const Matrix& d) {
  const int64_t area = static_cast<int64_t>(n.rows) * n.positions;
  for (int row = warp(); row < n.rows; row += warps()) {
    const float* from = partial + sample * slices * area + static_cast<int64_t>(row) * n.positions;
    for (int l = lane(); l < n.positions; l += kLanes) {
      float total = 0;
      for (int slice = 0; slice < slices; ++slice) total += from[slice * area + l];
      d(first_map(n, merge, row), l) = total;
    }
  }
}

// delta[row] += sum over the strip of A (df X), with A recomputed from the refined maps. One warp per row.
__device__ __forceinline__ void add_delta(const Sizes& n, Merge merge, const Matrix& refined, int first, int columns,
                                          const uint8_t* argmax, int64_t sample, const Matrix& d, float* delta) {
  for (int row = warp(); row < n.rows; row += warps()) {
    const int map = first_map(n, merge, row);
    float total = 0;
    for (int l = lane(); l < columns; l += kLanes) {
      float value = 0;
      if (merge == Merge::mean) {
        for (int k = 0; k < n.channels; ++k) value += refined(map + k, l);
        value /= static_cast<float>(n.channels);
      } else {
        const int64_t at = (sample * n.rows + row) * n.positions + first + l;
        value = refined(map + (merge == Merge::max ? argmax[at] : 0), l);
      }
      total = fmaf(value, d(map, first + l), total);
    }
    total = warp_sum(total);
    if (lane() == 0) delta[row] = first == 0 ? total : delta[row] + total;
  }
}

// d [N,L] = gradient of m', from the df X it holds and delta (null without a gradient of pooled), and from the gradient
// of A (may be null). The division by the sum of A subtracts <df, f> = delta / sum A from every position. One warp per
// row.
template <class T>
__device__ __forceinline__ void merge_backward(const Sizes& n, Merge merge, const float* delta,
                                               const float* attention_sum, const T* grad_attention,
                                               const uint8_t* argmax, int64_t sample, const Matrix& d) {
  for (int row = warp(); row < n.rows; row += warps()) {
    const int map = first_map(n, merge, row);
    const int64_t start = (sample * n.rows + row) * n.positions;
    float normalized_delta = 0, clamped_sum = 1;
    if (delta) {
      const float sum = attention_sum[sample * n.rows + row], floor = static_cast<float>(kSumFloor);
      clamped_sum = clamp_min(sum, floor);
      normalized_delta = sum <= floor ? 0.0f : delta[row] / sum;
    }
    for (int l = lane(); l < n.positions; l += kLanes) {
      float gradient = delta ? (d(map, l) - normalized_delta) / clamped_sum : 0.0f;
      if (grad_attention) gradient += to_acc(grad_attention[start + l]);
      if (merge == Merge::none) {
        d(row, l) = gradient;
      } else if (merge == Merge::mean) {
        for (int k = 0; k < n.channels; ++k) d(map + k, l) = gradient / static_cast<float>(n.channels);
      } else {
        const int best_channel = argmax[start + l];
        for (int k = 0; k < n.channels; ++k) d(map + k, l) = k == best_channel ? gradient : 0.0f;
      }
    }
  }
}

}  // namespace sma::cuda
