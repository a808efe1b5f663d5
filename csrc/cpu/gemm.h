// Register-blocked products of skinny matrices. Each takes a prefetcher for the data that is needed next.
#pragma once

#include "prefetch.h"

namespace sma::cpu::SMA_ISA {
namespace {

// The depth of a product is summed in blocks, each of which is added to C: the error of a long sum grows with the
// number of blocks, not with its length.

// --- C (+)= A B: A with any strides, B and C with contiguous rows of whole vectors ---

template <typename acc_t, int rows, int vectors, bool accumulate, typename Prefetch>
SMA_INLINE void multiply_tile(int64_t depth, const acc_t* a, int64_t a_row, int64_t a_depth, const acc_t* b,
                              int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  Vector<acc_t> sums[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vector<acc_t>{};
  Prefetch ahead = prefetch;  // in registers
  for (int64_t p = 0; p < depth; ++p) {
    ahead.step();
    Vector<acc_t> right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes<acc_t>);
    for (int i = 0; i < rows; ++i) {
      const Vector<acc_t> left = broadcast(a[i * a_row]);
      for (int v = 0; v < vectors; ++v) sums[i][v] += left * right[v];
    }
    a += a_depth;
    b += b_row;
  }
  prefetch = ahead;
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) {
      acc_t* to = c + i * c_row + v * lanes<acc_t>;
      store(accumulate ? load(to) + sums[i][v] : sums[i][v], to);
    }
}

template <typename acc_t, int vectors, bool accumulate, typename Prefetch>
SMA_INLINE void multiply_columns(int64_t rows, int64_t depth, const acc_t* a, int64_t a_row, int64_t a_depth,
                                 const acc_t* b, int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    multiply_tile<acc_t, 4, vectors, accumulate>(depth, a + i * a_row, a_row, a_depth, b, b_row, c + i * c_row, c_row,
                                                 prefetch);
  a += i * a_row;
  c += i * c_row;
  if (rows - i == 3)
    multiply_tile<acc_t, 3, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, prefetch);
  if (rows - i == 2)
    multiply_tile<acc_t, 2, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, prefetch);
  if (rows - i == 1)
    multiply_tile<acc_t, 1, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, prefetch);
}

template <typename acc_t, bool accumulate, typename Prefetch>
inline void multiply_block(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row, int64_t a_depth,
                           const acc_t* b, int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  constexpr int n = lanes<acc_t>;
  int64_t j = 0;
  for (; j + 3 * n <= columns; j += 3 * n)
    multiply_columns<acc_t, 3, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, prefetch);
  if (columns - j > n)
    multiply_columns<acc_t, 2, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, prefetch);
  else if (columns - j > 0)
    multiply_columns<acc_t, 1, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, prefetch);
}

// `columns` is a multiple of the vector length. The strip of B for one depth block stays in L1.
template <typename acc_t, bool accumulate, typename Prefetch>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row, int64_t a_depth,
                     const acc_t* b, int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  constexpr int64_t depth_block = 256;
  const int64_t first = min_of(depth, depth_block);
  multiply_block<acc_t, accumulate>(rows, columns, first, a, a_row, a_depth, b, b_row, c, c_row, prefetch);
  for (int64_t p = depth_block; p < depth; p += depth_block) {
    const int64_t count = min_of(depth - p, depth_block);
    multiply_block<acc_t, true>(rows, columns, count, a + p * a_depth, a_row, a_depth, b + p * b_row, b_row, c, c_row,
                                prefetch);
  }
}

template <typename acc_t, bool accumulate>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row, int64_t a_depth,
                     const acc_t* b, int64_t b_row, acc_t* c, int64_t c_row) {
  NoPrefetch no_prefetch;
  multiply<acc_t, accumulate>(rows, columns, depth, a, a_row, a_depth, b, b_row, c, c_row, no_prefetch);
}

// --- C (+)= A B^T: rows of A and B run along the summed axis ---

template <typename acc_t>
struct Rows {
  const acc_t* data;
  int64_t stride;
};

// The rows in acc_t: unchanged, or converted into `copies`.
template <typename acc_t, typename T>
inline Rows<acc_t> acc_rows(int64_t rows, int64_t length, const T* from, int64_t stride, acc_t* copies) {
  if constexpr (std::is_same_v<T, acc_t>) {
    return {from, stride};
  } else {
    copy_in(rows, length, from, stride, copies, padded<acc_t>(length), padded<acc_t>(length));
    return {copies, padded<acc_t>(length)};
  }
}

// The last `count` elements before `end` in the last lanes, zeros in the others. Reads a whole vector.
template <typename acc_t>
SMA_INLINE Vector<acc_t> load_last(const acc_t* end, int64_t count) {
  Index<acc_t> index;
  for (int i = 0; i < lanes<acc_t>; ++i) index[i] = i;
  const Vector<acc_t> v = load(end - lanes<acc_t>);
  return index >= static_cast<IndexOf<acc_t>>(lanes<acc_t> - count) ? v : Vector<acc_t>{};
}

// Lane i of the result is the sum over the lanes of v[i].
template <typename acc_t, int step = 1>
SMA_INLINE Vector<acc_t> sum_each_vector(Vector<acc_t>* v) {
  if constexpr (step == lanes<acc_t>) {
    return v[0];
  } else {
    for (int i = 0; i < lanes<acc_t> / step; i += 2) {
      exchange<acc_t, step>(v[i], v[i + 1], std::make_index_sequence<lanes<acc_t>>{});
      v[i / 2] = v[i] + v[i + 1];
    }
    return sum_each_vector<acc_t, 2 * step>(v);
  }
}

constexpr int kDotRows = 4, kDotColumns = SMA_VECTOR_BYTES == 64 ? 4 : 2;  // their product fills whole vectors

template <typename acc_t, bool accumulate, typename Prefetch>
SMA_INLINE void dot_tile(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row, const acc_t* b,
                         int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  constexpr int m = kDotRows, n = kDotColumns;
  const acc_t *left[m], *right[n];
  for (int i = 0; i < m; ++i) left[i] = a + min_of(i, rows - 1) * a_row;
  for (int j = 0; j < n; ++j) right[j] = b + min_of(j, columns - 1) * b_row;
  Vector<acc_t> sums[m * n] = {};
  const auto add = [&](auto&& vector) {
    Vector<acc_t> x[n];
    for (int j = 0; j < n; ++j) x[j] = vector(right[j]);
    for (int i = 0; i < m; ++i) {
      const Vector<acc_t> y = vector(left[i]);
      for (int j = 0; j < n; ++j) sums[i * n + j] += y * x[j];
    }
  };
  Prefetch ahead = prefetch;
  int64_t p = 0;
  for (; p + lanes<acc_t> <= depth; p += lanes<acc_t>) {
    ahead.step();
    add([&](const acc_t* row) { return load(row + p); });
  }
  prefetch = ahead;
  if (p < depth) add([&](const acc_t* row) { return load_last(row + depth, depth - p); });
  acc_t dots[m * n];
  for (int k = 0; k < m * n; k += lanes<acc_t>) store(sum_each_vector<acc_t>(sums + k), dots + k);
  for (int i = 0; i < min_of(m, rows); ++i)
    for (int j = 0; j < min_of(n, columns); ++j)
      c[i * c_row + j] = (accumulate ? c[i * c_row + j] : acc_t(0)) + dots[i * n + j];
}

template <typename acc_t, bool accumulate, typename Prefetch>
inline void dot_block(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row, const acc_t* b,
                      int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  for (int64_t j = 0; j < columns; j += kDotColumns)
    for (int64_t i = 0; i < rows; i += kDotRows)
      dot_tile<acc_t, accumulate>(rows - i, columns - j, depth, a + i * a_row, a_row, b + j * b_row, b_row,
                                  c + i * c_row + j, c_row, prefetch);
}

// A [rows, depth], B [columns, depth]; depth is at least one vector.
template <typename acc_t, bool accumulate, typename Prefetch>
inline void multiply_transposed(int64_t rows, int64_t columns, int64_t depth, const acc_t* a, int64_t a_row,
                                const acc_t* b, int64_t b_row, acc_t* c, int64_t c_row, Prefetch& prefetch) {
  dot_block<acc_t, accumulate>(rows, columns, min_of(depth, kSumBlock<acc_t>), a, a_row, b, b_row, c, c_row, prefetch);
  for (int64_t p = kSumBlock<acc_t>; p < depth; p += kSumBlock<acc_t>)
    dot_block<acc_t, true>(rows, columns, min_of(depth - p, kSumBlock<acc_t>), a + p, a_row, b + p, b_row, c, c_row,
                           prefetch);
}

// Lower bound on the inner-loop iterations of a product of either kind.
template <typename acc_t>
inline int64_t product_steps(int64_t rows, int64_t columns, int64_t depth) {
  return rows * columns * depth / (kDotRows * lanes<acc_t> * max_of(3, kDotColumns));
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
