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

// This block's part of a sample. Division, sizes and mask are in a kernel's argument: constant memory, not registers.
class Slice {
 public:
  int rank;   // in the cluster
  int first;  // position
  int positions;

  __device__ Slice(const Division& division, const Sizes& n, const bool* const& mask)
      : rank(static_cast<int>(block() % division.cluster)),
        first(rank * division.slice),
        positions(min(division.slice, n.positions - first)),
        division_(division),
        n_(n),
        mask_(mask),
        sample_(static_cast<int>(block() / division.cluster)) {}

  __device__ __forceinline__ int64_t sample() const { return sample_; }
  __device__ __forceinline__ bool is_whole() const { return division_.cluster == 1; }
  __device__ __forceinline__ int blocks() const { return division_.cluster; }
  __device__ __forceinline__ bool is_first() const { return rank == 0; }
  __device__ __forceinline__ bool has_mask() const { return mask_ != nullptr; }

  // Whether position `l` of the slice is valid, if there is a mask. The position is added up in 32 bits, because the
  // kernels have no register left for a sum in 64.
  __device__ __forceinline__ bool is_valid(int l) const { return mask_[sample() * n_.positions + (first + l)]; }

  // matrix(i, l) = value at the positions that are not valid. Each thread writes the elements that for_each_element
  // gives it. With a mask, a barrier follows.
  __device__ __forceinline__ void fill_invalid(const Matrix& matrix, int rows, float value) const {
    if (!has_mask()) return;
#pragma unroll 1
    for (int l = lane(); l < positions; l += kLanes) {
      if (is_valid(l)) continue;
#pragma unroll 1
      for (int i = warp(); i < rows; i += kHeadWarps) matrix(i, l) = value;
    }
    sync_block();
  }

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
  const Sizes& n_;
  const bool* const& mask_;
  int sample_;
};

}  // namespace sma::cuda
