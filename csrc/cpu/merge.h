// Merges the channels of a region, and its backward, for one sample.
#pragma once

#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

// attention[L] of one region and, for the maximum, argmax[L] from its channels [K, width]. Ties go to the first
// channel; NaN counts as the maximum.
template <typename acc_t>
inline void merge_region(Merge merge, int64_t channels, int64_t positions, const acc_t* maps, int64_t width,
                         acc_t* attention, uint8_t* argmax) {
  if (merge == Merge::mean) {
    for (int64_t l = 0; l < positions; ++l) {
      acc_t total = 0;
      for (int64_t k = 0; k < channels; ++k) total += maps[k * width + l];
      attention[l] = total / static_cast<acc_t>(channels);
    }
    return;
  }
  for (int64_t l = 0; l < positions; ++l) {
    attention[l] = maps[l];
    argmax[l] = 0;
  }
  for (int64_t k = 1; k < channels; ++k) {
    const acc_t* row = maps + k * width;
    for (int64_t l = 0; l < positions; ++l) {
      const bool better = !(row[l] <= attention[l]) & (attention[l] == attention[l]);
      attention[l] = better ? row[l] : attention[l];
      argmax[l] = better ? static_cast<uint8_t>(k) : argmax[l];
    }
  }
}

// dmaps [K, width] of one region from dattention [width].
template <typename acc_t>
inline void merge_region_backward(Merge merge, int64_t channels, int64_t positions, const acc_t* dattention,
                                  const uint8_t* argmax, acc_t* dmaps, int64_t width) {
  if (merge == Merge::mean) {
    for (int64_t k = 0; k < channels; ++k)
      for (int64_t l = 0; l < width; ++l)
        dmaps[k * width + l] = l < positions ? dattention[l] / static_cast<acc_t>(channels) : acc_t(0);
    return;
  }
  for (int64_t i = 0; i < channels * width; ++i) dmaps[i] = 0;
  for (int64_t l = 0; l < positions; ++l)
    if (argmax[l] < channels) dmaps[argmax[l] * width + l] = dattention[l];  // values from the caller are not trusted
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
