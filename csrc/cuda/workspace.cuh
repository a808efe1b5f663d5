// Arrays of one block: in shared memory if they fit, else in a global workspace.
//
// The host decides (place_arrays in plan.cuh); a kernel reads one bit per array. With kShared every array fits, and the
// compiler knows the address space.
#pragma once

#include "math.cuh"

namespace sma::cuda {

// Sizes of a call in 32 bits; the host checks that they fit. Products that may overflow are computed in 64 bits.
struct Sizes {
  int regions, channels, maps, rows;  // maps = regions*channels; rows of A
  int groups, embed, values, positions;
};

struct Matrix {
  float* data;
  int pitch;

  __device__ __forceinline__ float& operator()(int i, int j) const { return data[static_cast<int64_t>(i) * pitch + j]; }
};

// A pitch that is 4 modulo 8 spreads eight rows over all banks.
__host__ __device__ inline int pitch_of(int columns) { return (columns + 7) / 8 * 8 + 4; }

// Which arrays of a kernel are in shared memory (one bit each), and the sizes of both memories.
struct Placement {
  uint32_t in_shared;
  int64_t workspace;  // floats per block
  int shared;         // bytes per block
};

template <bool kShared>
class Arrays {
 public:
  __device__ Arrays(const Placement& placement, float* workspace) : bits_(placement.in_shared), next_(workspace) {}

  // `count` floats; the calls must follow the order in which the host placed the arrays.
  __device__ __forceinline__ float* take(int64_t count) {
    if (kShared || (bits_ & 1u)) {
      bits_ >>= 1;
      return static_cast<float*>(carve_shared(cursor_, static_cast<int>(count * sizeof(float))));
    }
    bits_ >>= 1;
    float* array = next_;
    next_ += (count + 3) / 4 * 4;
    return array;
  }

  // `count` elements, always in shared memory.
  template <class T>
  __device__ __forceinline__ T* tile(int count) {
    return static_cast<T*>(carve_shared(cursor_, count * static_cast<int>(sizeof(T))));
  }

 private:
  uint32_t bits_;
  float* next_;
  int cursor_ = 0;
};

}  // namespace sma::cuda
