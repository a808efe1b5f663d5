// Step 5: rows of A from the refined maps of one sample.
#pragma once

#include "../sma_attention.h"
#include "workspace.cuh"

namespace sma::cuda {

// Merges positions first..first+columns of `refined` (whose column 0 is position `first`). Writes attention and argmax
// if not null, and adds to sums[row]. One warp per row.
template <class T>
__device__ __forceinline__ void merge_strip(const Sizes& n, Merge merge, const Matrix& refined, int first, int columns,
                                            T* attention, uint8_t* argmax, float* sums) {
  for (int row = warp(); row < n.rows; row += warps()) {
    float total = 0;
    for (int l = lane(); l < columns; l += kLanes) {
      float value = 0;
      if (merge == Merge::none) {
        value = refined(row, l);
      } else if (merge == Merge::mean) {
        for (int k = 0; k < n.channels; ++k) value += refined(row * n.channels + k, l);
        value /= static_cast<float>(n.channels);
      } else {
        int best_channel = 0;
        value = refined(row * n.channels, l);
        for (int k = 1; k < n.channels; ++k) {
          const float other = refined(row * n.channels + k, l);
          if (greater_or_nan(other, value)) {
            value = other;
            best_channel = k;
          }
        }
        if (argmax) argmax[static_cast<int64_t>(row) * n.positions + first + l] = static_cast<uint8_t>(best_channel);
      }
      if (attention) attention[static_cast<int64_t>(row) * n.positions + first + l] = from_acc<T>(value);
      total += value;
    }
    total = warp_sum(total);
    if (lane() == 0) sums[row] += total;
  }
}

}  // namespace sma::cuda
