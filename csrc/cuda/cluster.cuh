// A cluster: the blocks that share one sample, each with a slice of its positions. Sums over all positions are
// exchanged through global memory.
#pragma once

#include "elements.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// How the positions of a sample are divided over a cluster.
struct Division {
  int cluster;       // blocks per sample
  int slice;         // positions per block; the last one may have fewer
  int64_t exchange;  // floats that one block offers to the others
  float* exchange_memory;
};

// This block's part of a sample. The division is a kernel's argument: in constant memory, not in registers.
class Slice {
 public:
  int rank;   // in the cluster
  int first;  // position
  int positions;

  __device__ Slice(const Division& division, int all_positions)
      : rank(static_cast<int>(block() % division.cluster)),
        first(rank * division.slice),
        positions(min(division.slice, all_positions - first)),
        division_(division),
        sample_(static_cast<int>(block() / division.cluster)) {}

  __device__ __forceinline__ int64_t sample() const { return sample_; }
  __device__ __forceinline__ bool is_whole() const { return division_.cluster == 1; }
  __device__ __forceinline__ int blocks() const { return division_.cluster; }
  __device__ __forceinline__ bool is_first() const { return rank == 0; }

  // Element `index` of what block `from` of the cluster offers.
  __device__ __forceinline__ float* offered(int from, int64_t index) const {
    return division_.exchange_memory + (sample() * blocks() + from) * division_.exchange + index;
  }

  // Adds matrices over the cluster, in the order of its blocks, in place; every block receives the sums. They are
  // exchanged at `at`, which no other exchange of the kernel uses. All threads must call, after a barrier.
  __device__ __forceinline__ void sum(const Matrix& values, int rows, int columns, int64_t at) const {
    if (is_whole()) return;
    offer(values, rows, columns, at);
    sync_cluster();
    collect(values, rows, columns, at);
    sync_block();
  }

  // The two halves of `sum`, for several matrices with one barrier of the cluster between them.
  __device__ __forceinline__ void offer(const Matrix& values, int rows, int columns, int64_t at) const {
    for_each_element(
        rows, columns, [&](int i, int j) { return values(i, j); },
        [&](int i, int j, float value) {
          store_shared_globally(offered(rank, at + static_cast<int64_t>(i) * columns + j), value);
        });
  }
  __device__ __forceinline__ void collect(const Matrix& values, int rows, int columns, int64_t at) const {
    sum_elements<4, 2, 1>(
        rows, columns, blocks(),
        [&](int from, int i, int j) {
          return load_shared_globally(offered(from, at + static_cast<int64_t>(i) * columns + j));
        },
        [&](int i, int j, float total) { values(i, j) = total; });
  }

 private:
  const Division& division_;
  int sample_;
};

}  // namespace sma::cuda
