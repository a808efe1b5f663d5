// Backward of pooling and merge: the gradient of one sample's refined maps.
#pragma once

#include "../sma_attention.h"
#include "cluster.cuh"

namespace sma::cuda {

// Results of the forward in shared memory, read early, while the features arrive.
struct SavedInputs {
  Matrix correlation;  // S, data null if not needed
  uint8_t* argmax;     // [R, argmax_pitch], for Merge::max
  int argmax_pitch;

  __device__ __forceinline__ int channel(int row, int l) const { return argmax[row * argmax_pitch + l]; }
};

// The map whose row of d holds the gradient of a row of A until merge_backward.
__device__ __forceinline__ int first_map(const Sizes& n, Merge merge, int row) {
  return merge == Merge::none ? row : row * n.channels;
}

// d of each row's first map = df X, the sum of `partial` over slices of channels.
__device__ __forceinline__ void load_partial(const Sizes& n, Merge merge, const float* partial, int channel_slices,
                                             const Slice& slice, const Matrix& d) {
  const int64_t area = static_cast<int64_t>(n.rows) * n.positions;
  const float* from = partial + slice.sample() * channel_slices * area + slice.first;
  sum_elements<1, 2, 4>(
      n.rows, slice.positions, channel_slices,
      [&](int s, int row, int l) { return from[s * area + static_cast<int64_t>(row) * n.positions + l]; },
      [&](int row, int l, float total) { d(first_map(n, merge, row), l) = total; });
}

__device__ __forceinline__ void load_argmax(const Sizes& n, const uint8_t* argmax, const Slice& slice,
                                            const SavedInputs& saved) {
  const uint8_t* from = argmax + slice.sample() * n.regions * n.positions + slice.first;
  for_each_element(
      n.regions, slice.positions, [&](int row, int l) { return from[static_cast<int64_t>(row) * n.positions + l]; },
      [&](int row, int l, uint8_t channel) { saved.argmax[row * saved.argmax_pitch + l] = channel; });
}

__device__ __forceinline__ void load_correlation(const Sizes& n, const float* correlation, const Slice& slice,
                                                 const SavedInputs& saved) {
  const float* from = correlation + slice.sample() * n.maps * n.maps;
  for_each_element(
      n.maps, n.maps, [&](int i, int j) { return from[static_cast<int64_t>(i) * n.maps + j]; },
      [&](int i, int j, float value) { saved.correlation(i, j) = value; });
}

// delta[row] += sum over the strip of A (df X) (the first strip sets it), with A recomputed from the refined maps. One
// warp per row.
__device__ __forceinline__ void add_delta(const Sizes& n, Merge merge, const Matrix& refined, int first, int columns,
                                          const SavedInputs& saved, const Matrix& d, float* delta) {
  for_each_row(n.rows, [&](const RowTeam& team) {
    const int map = first_map(n, merge, team.row);
    const float total = team.sum(columns, [&](int l) {
      if (merge != Merge::mean) {
        return refined(map + (merge == Merge::max ? saved.channel(team.row, first + l) : 0), l) * d(map, first + l);
      }
      float value = 0;
#pragma unroll 1
      for (int k = 0; k < n.channels; ++k) value += refined(map + k, l);
      return value / static_cast<float>(n.channels) * d(map, first + l);
    });
    if (team.is_first_lane()) delta[team.row] = first == 0 ? total : delta[team.row] + total;
  });
}

// d [N,L] = gradient of m', from the df X it holds and delta (null without a gradient of pooled), and from the gradient
// of A (may be null). The division by the sum of A subtracts <df, f> = delta / sum A from every position. One warp per
// row.
template <class T>
__device__ __forceinline__ void merge_backward(const Sizes& n, Merge merge, const float* delta,
                                               const float* attention_sum, const T* grad_attention,
                                               const SavedInputs& saved, const Slice& slice, const Matrix& d) {
  for_each_row(n.rows, [&](const RowTeam& team) {
    if (team.row < 0) return;
    const int row = team.row, map = first_map(n, merge, row);
    const int64_t start = (slice.sample() * n.rows + row) * n.positions + slice.first;
    float normalized_delta = 0, scale = 0;
    if (delta) {
      const float sum = attention_sum[slice.sample() * n.rows + row], floor = static_cast<float>(kSumFloor);
      scale = 1.0f / clamp_min(sum, floor);
      normalized_delta = sum <= floor ? 0.0f : delta[row] / sum;
    }
    const int channels = merge == Merge::none ? 1 : n.channels;
    team.for_each(
        slice.positions,
        [&](int l) {
          float gradient = delta ? (d(map, l) - normalized_delta) * scale : 0.0f;
          if (grad_attention) gradient += to_acc(grad_attention[start + l]);
          return merge == Merge::mean ? gradient / static_cast<float>(n.channels) : gradient;
        },
        [&](int l, float gradient) {
          const int best_channel = merge == Merge::max ? saved.channel(row, l) : -1;
#pragma unroll 1
          for (int k = 0; k < channels; ++k) d(map + k, l) = best_channel < 0 || k == best_channel ? gradient : 0.0f;
        });
  });
}

}  // namespace sma::cuda
