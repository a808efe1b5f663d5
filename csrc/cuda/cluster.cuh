// A cluster: the blocks that share one sample, each with a slice of its positions. Sums over all positions are
// exchanged through global memory. The blocks wait for each other at the barrier of a cluster in the hardware or, if
// there are more of them than it allows, at that of a cooperative launch.
#pragma once

#include "elements.cuh"
#include "workspace.cuh"

namespace sma::cuda {

// How the positions of a sample are divided over a cluster.
struct Division {
  int cluster;       // blocks per sample
  int slice;         // positions per block; the last one may have fewer
  bool cooperative;  // the blocks of all samples wait together
  int64_t exchange;  // floats that one block offers to the others
  float* exchange_memory;
};

// A matrix to add over a cluster, exchanged at `at`, which no other exchange of the kernel uses.
struct ClusterSum {
  Matrix values;
  int rows, columns;
  int64_t at;

  __device__ __forceinline__ int64_t index(int i, int j) const { return at + static_cast<int64_t>(i) * columns + j; }
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

  // Waits for the blocks of the sample; what they stored for each other before is visible after it.
  __device__ __forceinline__ void sync() const {
    if (division_.cooperative) {
      sync_grid();
    } else {
      sync_cluster();
    }
  }

  // Adds matrices over the cluster, in place and in an order that depends on nothing but its size; every block receives
  // the sums. All threads must call, after a barrier.
  template <int kCount>
  __device__ __forceinline__ void sum(const ClusterSum (&sums)[kCount]) const {
    if (is_whole()) return;
#pragma unroll
    for (const ClusterSum& sum : sums) offer(sum);
    sync();
    if (division_.cooperative) {
#pragma unroll
      for (const ClusterSum& sum : sums) add_share(sum);
      sync_grid();
    }
#pragma unroll
    for (const ClusterSum& sum : sums) collect(sum, division_.cooperative ? 1 : blocks());
    sync_block();
  }

 private:
  __device__ __forceinline__ void offer(const ClusterSum& sum) const {
    for_each_element(
        sum.rows, sum.columns, [&](int i, int j) { return sum.values(i, j); },
        [&](int i, int j, float value) { store_shared_globally(offered(rank, sum.index(i, j)), value); });
  }

  // Adds this block's share of the elements to what the first block offers: if each of many blocks added all elements,
  // they would read as much as the whole sample.
  __device__ __forceinline__ void add_share(const ClusterSum& sum) const {
    const int64_t elements = static_cast<int64_t>(sum.rows) * sum.columns;
    const int64_t share = (elements + blocks() - 1) / blocks(), start = rank * share;
    for_each_row(static_cast<int>(min(share, elements - start)), [&](const RowTeam& team) {
      const int64_t index = sum.at + start + team.row;
      const float total = team.sum(blocks(), [&](int from) { return load_shared_globally(offered(from, index)); });
      if (team.is_first_lane()) store_shared_globally(offered(0, index), total);
    });
  }

  __device__ __forceinline__ void collect(const ClusterSum& sum, int from_blocks) const {
    sum_elements<4, 2, 1>(
        sum.rows, sum.columns, from_blocks,
        [&](int from, int i, int j) { return load_shared_globally(offered(from, sum.index(i, j))); },
        [&](int i, int j, float total) { sum.values(i, j) = total; });
  }

  const Division& division_;
  const Sizes& n_;
  const bool* const& mask_;
  int sample_;
};

}  // namespace sma::cuda
