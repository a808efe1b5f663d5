// Backward, last launch: sums the parameter gradients over samples, in a fixed order.
#pragma once

#include <cstdint>

namespace sma::cuda {

struct Reduction {
  const float* partials;  // [B,count]
  float* total;           // [count]
  int64_t count;
  int64_t first_block;  // in the grid
};

struct Reductions {
  static constexpr int kMaxEntries = 5;
  Reduction entries[kMaxEntries];
  int size;
  int64_t batch;
};

const char* launch_reductions(const Reductions& reductions, int64_t blocks, void* stream);

}  // namespace sma::cuda
