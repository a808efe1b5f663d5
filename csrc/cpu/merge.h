// Merging the channels of a region, and the gradient back to them, for one sample.
#pragma once

#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

// One region: attention[L] and, for the maximum, winner[L] from its channels [K, width]. The first maximum wins; a
// NaN counts as one.
template <typename W>
inline void merge_region(Merge merge, int64_t channels, int64_t positions, const W* maps, int64_t width, W* attention,
                         uint8_t* winner) {
  if (merge == Merge::mean) {
    for (int64_t l = 0; l < positions; ++l) {
      W total = 0;
      for (int64_t k = 0; k < channels; ++k) total += maps[k * width + l];
      attention[l] = total / static_cast<W>(channels);
    }
    return;
  }
  for (int64_t l = 0; l < positions; ++l) {
    attention[l] = maps[l];
    winner[l] = 0;
  }
  for (int64_t k = 1; k < channels; ++k) {
    const W* row = maps + k * width;
    for (int64_t l = 0; l < positions; ++l) {
      const bool better = !(row[l] <= attention[l]) & (attention[l] == attention[l]);
      attention[l] = better ? row[l] : attention[l];
      winner[l] = better ? static_cast<uint8_t>(k) : winner[l];
    }
  }
}

// dmaps [K, width] of one region from dattention [width].
template <typename W>
inline void merge_region_backward(Merge merge, int64_t channels, int64_t positions, const W* dattention,
                                  const uint8_t* winner, W* dmaps, int64_t width) {
  if (merge == Merge::mean) {
    for (int64_t k = 0; k < channels; ++k)
      for (int64_t l = 0; l < width; ++l)
        dmaps[k * width + l] = l < positions ? dattention[l] / static_cast<W>(channels) : W(0);
    return;
  }
  for (int64_t i = 0; i < channels * width; ++i) dmaps[i] = 0;
  for (int64_t l = 0; l < positions; ++l)
    if (winner[l] < channels) dmaps[winner[l] * width + l] = dattention[l];  // a caller's own may hold anything
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
