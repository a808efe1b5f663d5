// Backward, last launch: the samples' shares of the parameters' gradients, summed in a fixed order.
#pragma once

#include <cstdint>

namespace sma::cuda {

struct Reduction {
  const float* shares;  // [B,count]
  float* total;         // [count]
  int64_t count;
  int64_t first_block;  // of the grid
};

struct Reductions {
  static constexpr int kMost = 5;
  Reduction part[kMost];
  int parts;
  int64_t batch;
};

const char* launch_reductions(const Reductions& reductions, int64_t blocks, void* stream);

}  // namespace sma::cuda
