// Step 5: rows of A from the refined maps of one sample.
#pragma once

#include "../sma_attention.h"
#include "elements.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// An element of A, and the channel of its maximum.
struct Merged {
  float value;
  int channel;
};

__device__ __forceinline__ Merged merge(const Sizes& n, Merge mode, const Matrix& refined, int row, int l) {
  if (mode == Merge::none) return {refined(row, l), 0};
  Merged merged{refined(row * n.channels, l), 0};
#pragma unroll 1
  for (int k = 1; k < n.channels; ++k) {
    const float other = refined(row * n.channels + k, l);
    if (mode == Merge::mean) {
      merged.value += other;
    } else if (greater_or_nan(other, merged.value)) {
      merged = {other, k};
    }
  }
  if (mode == Merge::mean) merged.value /= static_cast<float>(n.channels);
  return merged;
}

// Merges `columns` positions of `refined`, of which the first is `first` in the sample. Writes attention and argmax if
// not null, and adds to sums[row]. One warp per row.
template <class T>
__device__ __forceinline__ void merge_strip(const Sizes& n, Merge mode, const Matrix& refined, int first, int columns,
                                            T* attention, uint8_t* argmax, float* sums) {
  for_each_row(n.rows, [&](const RowTeam& team) {
    const int64_t start = static_cast<int64_t>(team.row) * n.positions + first;
    const float total = team.sum(columns, [&](int l) {
      const Merged merged = merge(n, mode, refined, team.row, l);
      if (argmax) argmax[start + l] = static_cast<uint8_t>(merged.channel);
      if (attention) attention[start + l] = from_acc<T>(merged.value);
      return merged.value;
    });
    if (team.is_first_lane()) sums[team.row] += total;
  });
}

}  // namespace sma::cuda
