// Loops over matrices and rows by a block. They read a few elements before they use any, so that latencies overlap: the
// compiler may not move a read before a write that could be to its address.
#pragma once

#include "parts.cuh"

namespace sma::cuda {

// use(i, j, value) for all elements, adjacent columns by adjacent lanes, where `value` is the sum of load(term, i, j)
// over terms in their order. Reads kRows x kColumns elements, and kTerms terms of each, at once. Without a barrier.
template <int kRows, int kColumns, int kTerms, class Load, class Use>
__device__ __forceinline__ void sum_elements(int rows, int columns, int terms, const Load& load, const Use& use) {
#pragma unroll 1
  for (int first_column = lane(); first_column < columns; first_column += kColumns * kLanes) {
#pragma unroll 1
    for (int first_row = warp(); first_row < rows; first_row += kRows * kHeadWarps) {
      decltype(load(0, 0, 0)) values[kRows][kColumns] = {};
#pragma unroll kTerms
      for (int term = 0; term < terms; ++term) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
#pragma unroll
          for (int c = 0; c < kColumns; ++c) {
            const int i = first_row + r * kHeadWarps, j = first_column + c * kLanes;
            if (i < rows && j < columns) values[r][c] += load(term, i, j);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c) {
          const int i = first_row + r * kHeadWarps, j = first_column + c * kLanes;
          if (i < rows && j < columns) use(i, j, values[r][c]);
        }
      }
    }
  }
}

// use(i, j, load(i, j)) for all elements.
template <class Load, class Use>
__device__ __forceinline__ void for_each_element(int rows, int columns, const Load& load, const Use& use) {
  sum_elements<4, 2, 1>(rows, columns, 1, [&](int, int i, int j) { return load(i, j); }, use);
}

// The lanes of a warp that share a row. A team without a row takes part in the reductions only.
class RowTeam {
 public:
  int row;  // -1 for none

  __device__ RowTeam(int first_row, int rows, int lanes) : lanes_(lanes), lane_(thread() % lanes) {
    const int own = first_row + thread() / lanes;
    row = own < rows ? own : -1;
  }

  __device__ __forceinline__ bool is_first_lane() const { return row >= 0 && lane_ == 0; }

  // use(j, load(j)) for the elements of the row.
  template <class Load, class Use>
  __device__ __forceinline__ void for_each(int columns, const Load& load, const Use& use) const {
    constexpr int kAtOnce = 4;
    if (row < 0) return;
#pragma unroll 1
    for (int first = lane_; first < columns; first += kAtOnce * lanes_) {
      float values[kAtOnce];
#pragma unroll
      for (int r = 0; r < kAtOnce; ++r) {
        const int j = first + r * lanes_;
        if (j < columns) values[r] = load(j);
      }
#pragma unroll
      for (int r = 0; r < kAtOnce; ++r) {
        const int j = first + r * lanes_;
        if (j < columns) use(j, values[r]);
      }
    }
  }

  // Over the lanes, which all receive the result. The order of the additions is fixed.
  __device__ __forceinline__ float sum(float value) const {
#pragma unroll 1
    for (int mask = lanes_ / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
  }
  __device__ __forceinline__ float max(float value) const {
#pragma unroll 1
    for (int mask = lanes_ / 2; mask > 0; mask /= 2) {
      const float other = shuffle_xor(value, mask);
      if (greater_or_nan(other, value)) value = other;
    }
    return value;
  }

  // Over the elements of the row.
  template <class Load>
  __device__ __forceinline__ float sum(int columns, const Load& load) const {
    float total = 0;
    for_each(columns, load, [&](int, float value) { total += value; });
    return sum(total);
  }
  template <class Load>
  __device__ __forceinline__ float max(int columns, const Load& load) const {
    float maximum = -INFINITY;
    for_each(columns, load, [&](int, float value) {
      if (greater_or_nan(value, maximum)) maximum = value;
    });
    return max(maximum);
  }

 private:
  int lanes_, lane_;
};

// body(team) until every row had a team. The more rows, the fewer lanes share one, so that one turn does.
template <class Body>
__device__ __forceinline__ void for_each_row(int rows, const Body& body) {
  const int lanes = rows <= kHeadWarps ? kLanes : rows <= 2 * kHeadWarps ? kLanes / 2 : kLanes / 4;
#pragma unroll 1
  for (int first = 0; first < rows; first += kHeadThreads / lanes) body(RowTeam(first, rows, lanes));
}

}  // namespace sma::cuda
