// Step 5: rows of A from the refined maps of one sample.
#pragma once

#include "../sma_attention.h"
#include "workspace.cuh"

namespace sma::cuda {

// Merges positions first..first+columns of `refined` (whose column 0 is position `first`), a warp a row. Writes what
// has a place, and adds to sums[row].
template <class T>
__device__ __forceinline__ void merge_strip(const Sizes& n, Merge merge, const Matrix& refined, int first, int columns,
                                            T* attention, uint8_t* winner, float* sums) {
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
        int best = 0;
        value = refined(row * n.channels, l);
        for (int k = 1; k < n.channels; ++k) {
          const float other = refined(row * n.channels + k, l);
          if (beats(other, value)) {
            value = other;
            best = k;
          }
        }
        if (winner) winner[static_cast<int64_t>(row) * n.positions + first + l] = static_cast<uint8_t>(best);
      }
      if (attention) attention[static_cast<int64_t>(row) * n.positions + first + l] = narrow<T>(value);
      total += value;
    }
    total = warp_sum(total);
    if (lane() == 0) sums[row] += total;
  }
}

}  // namespace sma::cuda
