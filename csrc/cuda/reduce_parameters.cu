#include "launch.cuh"
#include "math.cuh"
#include "reduce_parameters.cuh"
#include "sma_attention_cuda.h"

namespace sma::cuda {
namespace {

constexpr int kReduceThreads = 256;

// Each block sums 32 adjacent elements: its warps take the partials in turn, and warp 0 adds their partial sums.
__global__ void __launch_bounds__(kReduceThreads) reduce_parameters(const __grid_constant__ Reductions p) {
  int cursor = 0;
  float* sums = static_cast<float*>(carve_shared(cursor, kReduceThreads * static_cast<int>(sizeof(float))));
  int index = 0;
  while (index + 1 < p.size && block() >= p.entries[index + 1].first_block) ++index;
  const Reduction& entry = p.entries[index];
  const int64_t element = (block() - entry.first_block) * kLanes + lane();
  float total = 0;
  if (element < entry.count) {
#pragma unroll 8
    for (int64_t partial = warp(); partial < entry.partials; partial += warps()) {
      total += entry.memory[partial * entry.count + element];
    }
  }
  sums[thread()] = total;
  sync_block();
  if (warp() == 0 && element < entry.count) {
    for (int w = 1; w < warps(); ++w) total += sums[w * kLanes + lane()];
    entry.total[element] = total;
  }
}

}  // namespace

int max_cluster() { return max_cluster<reduce_parameters>(); }

const char* launch_reductions(const Reductions& reductions, int64_t blocks, void* stream) {
  return launch<reduce_parameters>(blocks, kReduceThreads, kReduceThreads * 4, stream, reductions);
}

}  // namespace sma::cuda
