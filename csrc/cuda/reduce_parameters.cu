#include "launch.cuh"
#include "math.cuh"
#include "reduce_parameters.cuh"

namespace sma::cuda {
namespace {

constexpr int kReduceThreads = 256;

// A block sums 32 neighbouring elements; its warps take the samples in turn, and warp 0 adds what they found.
__global__ void __launch_bounds__(kReduceThreads) reduce_parameters(const __grid_constant__ Reductions p) {
  int cursor = 0;
  float* sums = static_cast<float*>(carve_shared(cursor, kReduceThreads * static_cast<int>(sizeof(float))));
  int which = 0;
  while (which + 1 < p.parts && block() >= p.part[which + 1].first_block) ++which;
  const Reduction& part = p.part[which];
  const int64_t element = (block() - part.first_block) * kLanes + lane();
  float total = 0;
  if (element < part.count) {
    for (int64_t sample = warp(); sample < p.batch; sample += warps()) {
      total += part.shares[sample * part.count + element];
    }
  }
  sums[thread()] = total;
  sync_block();
  if (warp() == 0 && element < part.count) {
    for (int w = 1; w < warps(); ++w) total += sums[w * kLanes + lane()];
    part.total[element] = total;
  }
}

}  // namespace

const char* launch_reductions(const Reductions& reductions, int64_t blocks, void* stream) {
  return launch<reduce_parameters>(blocks, kReduceThreads, kReduceThreads * 4, stream, reductions);
}

}  // namespace sma::cuda
