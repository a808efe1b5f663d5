// Axes of a grid whose blocks are numbered consecutively.
#pragma once

#include "primitives.cuh"

namespace sma::cuda {

// The division by `size` is a multiplication by a number prepared on the host: exact for dividends below 2^31, and
// faster than a division by a number that the compiler does not know.
struct Axis {
  unsigned size;
  unsigned multiplier;  // 2^shift / size, rounded up
  int shift;

  // The coordinate of a block on this axis, the fastest of those that `index` still numbers; removes it from `index`.
  __device__ __forceinline__ int take(unsigned& index) const {
    const auto rest = static_cast<unsigned>(static_cast<uint64_t>(index) * multiplier >> shift);
    const unsigned coordinate = index - rest * size;
    index = rest;
    return static_cast<int>(coordinate);
  }
};

// `size` is 0 in a call without values, which launches no blocks.
inline Axis axis_of(int64_t size) {
  int shift = 31;
  while ((int64_t{1} << (shift - 31)) < size) ++shift;
  const uint64_t divisor = size > 0 ? static_cast<uint64_t>(size) : 1;
  return {static_cast<unsigned>(size), static_cast<unsigned>(((uint64_t{1} << shift) + divisor - 1) / divisor), shift};
}

}  // namespace sma::cuda
