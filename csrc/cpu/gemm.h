// Products of skinny matrices, register-blocked. Each takes what will be needed next, to ask for it meanwhile.
#pragma once

#include "prefetch.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Each piece of a product's depth is summed on its own and then added to C: the error of a long sum grows with its
// pieces, not with its length.

// --- C (+)= A B: A[i,p] at any strides, B and C with contiguous rows of whole vectors ---

template <typename W, int rows, int vectors, bool accumulate, typename Next>
SMA_INLINE void multiply_tile(int64_t depth, const W* a, int64_t a_row, int64_t a_depth, const W* b, int64_t b_row,
                              W* c, int64_t c_row, Next& next) {
  Vector<W> sums[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vector<W>{};
  Next asked = next;  // in registers
  for (int64_t p = 0; p < depth; ++p) {
    asked.step();
    Vector<W> right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes<W>);
    for (int i = 0; i < rows; ++i) {
      const Vector<W> left = broadcast(a[i * a_row]);
      for (int v = 0; v < vectors; ++v) sums[i][v] += left * right[v];
    }
    a += a_depth;
    b += b_row;
  }
  next = asked;
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) {
      W* to = c + i * c_row + v * lanes<W>;
      store(accumulate ? load(to) + sums[i][v] : sums[i][v], to);
    }
}

template <typename W, int vectors, bool accumulate, typename Next>
SMA_INLINE void multiply_columns(int64_t rows, int64_t depth, const W* a, int64_t a_row, int64_t a_depth, const W* b,
                                 int64_t b_row, W* c, int64_t c_row, Next& next) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    multiply_tile<W, 4, vectors, accumulate>(depth, a + i * a_row, a_row, a_depth, b, b_row, c + i * c_row, c_row,
                                             next);
  a += i * a_row;
  c += i * c_row;
  if (rows - i == 3) multiply_tile<W, 3, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, next);
  if (rows - i == 2) multiply_tile<W, 2, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, next);
  if (rows - i == 1) multiply_tile<W, 1, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row, next);
}

template <typename W, bool accumulate, typename Next>
inline void multiply_block(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, int64_t a_depth,
                           const W* b, int64_t b_row, W* c, int64_t c_row, Next& next) {
  constexpr int n = lanes<W>;
  int64_t j = 0;
  for (; j + 3 * n <= columns; j += 3 * n)
    multiply_columns<W, 3, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, next);
  if (columns - j > n)
    multiply_columns<W, 2, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, next);
  else if (columns - j > 0)
    multiply_columns<W, 1, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row, next);
}

// `columns` is a multiple of the vector. The depth is walked in pieces whose strip of B stays in the first cache.
template <typename W, bool accumulate, typename Next>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, int64_t a_depth,
                     const W* b, int64_t b_row, W* c, int64_t c_row, Next& next) {
  constexpr int64_t piece = 256;
  const int64_t first = least(depth, piece);
  multiply_block<W, accumulate>(rows, columns, first, a, a_row, a_depth, b, b_row, c, c_row, next);
  for (int64_t p = piece; p < depth; p += piece) {
    const int64_t count = least(depth - p, piece);
    multiply_block<W, true>(rows, columns, count, a + p * a_depth, a_row, a_depth, b + p * b_row, b_row, c, c_row,
                            next);
  }
}

template <typename W, bool accumulate>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, int64_t a_depth,
                     const W* b, int64_t b_row, W* c, int64_t c_row) {
  NothingAhead nothing;
  multiply<W, accumulate>(rows, columns, depth, a, a_row, a_depth, b, b_row, c, c_row, nothing);
}

// --- C (+)= A B^T: rows of A and B lie along the sum ---

template <typename W>
struct Rows {
  const W* data;
  int64_t stride;
};

// Rows in the wide type: these, or copies of them.
template <typename W, typename T>
inline Rows<W> wide_rows(int64_t rows, int64_t length, const T* from, int64_t stride, W* copies) {
  if constexpr (std::is_same_v<T, W>) {
    return {from, stride};
  } else {
    copy_in(rows, length, from, stride, copies, padded<W>(length), padded<W>(length));
    return {copies, padded<W>(length)};
  }
}

// The last `count` of the numbers before `end` in the last lanes, zeros before them. Reads a whole vector.
template <typename W>
SMA_INLINE Vector<W> load_last(const W* end, int64_t count) {
  Index<W> index;
  for (int i = 0; i < lanes<W>; ++i) index[i] = i;
  const Vector<W> v = load(end - lanes<W>);
  return index >= static_cast<IndexOf<W>>(lanes<W> - count) ? v : Vector<W>{};
}

// Sums over lanes: vector i of 0..lanes goes into lane i.
template <typename W, int step = 1>
SMA_INLINE Vector<W> sum_each(Vector<W>* v) {
  if constexpr (step == lanes<W>) {
    return v[0];
  } else {
    for (int i = 0; i < lanes<W> / step; i += 2) {
      exchange<W, step>(v[i], v[i + 1], std::make_index_sequence<lanes<W>>{});
      v[i / 2] = v[i] + v[i + 1];
    }
    return sum_each<W, 2 * step>(v);
  }
}

constexpr int kDotRows = 4, kDotColumns = SMA_VECTOR_BYTES == 64 ? 4 : 2;  // their product fills whole vectors

template <typename W, bool accumulate, typename Next>
SMA_INLINE void dot_tile(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, const W* b,
                         int64_t b_row, W* c, int64_t c_row, Next& next) {
  constexpr int m = kDotRows, n = kDotColumns;
  const W *left[m], *right[n];
  for (int i = 0; i < m; ++i) left[i] = a + least(i, rows - 1) * a_row;
  for (int j = 0; j < n; ++j) right[j] = b + least(j, columns - 1) * b_row;
  Vector<W> sums[m * n] = {};
  const auto add = [&](auto&& vector) {
    Vector<W> x[n];
    for (int j = 0; j < n; ++j) x[j] = vector(right[j]);
    for (int i = 0; i < m; ++i) {
      const Vector<W> y = vector(left[i]);
      for (int j = 0; j < n; ++j) sums[i * n + j] += y * x[j];
    }
  };
  Next asked = next;
  int64_t p = 0;
  for (; p + lanes<W> <= depth; p += lanes<W>) {
    asked.step();
    add([&](const W* row) { return load(row + p); });
  }
  next = asked;
  if (p < depth) add([&](const W* row) { return load_last(row + depth, depth - p); });
  W found[m * n];
  for (int k = 0; k < m * n; k += lanes<W>) store(sum_each<W>(sums + k), found + k);
  for (int i = 0; i < least(m, rows); ++i)
    for (int j = 0; j < least(n, columns); ++j)
      c[i * c_row + j] = (accumulate ? c[i * c_row + j] : W(0)) + found[i * n + j];
}

template <typename W, bool accumulate, typename Next>
inline void dot_block(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, const W* b,
                      int64_t b_row, W* c, int64_t c_row, Next& next) {
  for (int64_t j = 0; j < columns; j += kDotColumns)
    for (int64_t i = 0; i < rows; i += kDotRows)
      dot_tile<W, accumulate>(rows - i, columns - j, depth, a + i * a_row, a_row, b + j * b_row, b_row,
                              c + i * c_row + j, c_row, next);
}

// A [rows, depth], B [columns, depth], at least a vector deep.
template <typename W, bool accumulate, typename Next>
inline void multiply_transposed(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, const W* b,
                                int64_t b_row, W* c, int64_t c_row, Next& next) {
  dot_block<W, accumulate>(rows, columns, least(depth, kSumBlock<W>), a, a_row, b, b_row, c, c_row, next);
  for (int64_t p = kSumBlock<W>; p < depth; p += kSumBlock<W>)
    dot_block<W, true>(rows, columns, least(depth - p, kSumBlock<W>), a + p, a_row, b + p, b_row, c, c_row, next);
}

// How often, at least, the inner loop of a product turns, of either kind.
template <typename W>
inline int64_t steps_of(int64_t rows, int64_t columns, int64_t depth) {
  return rows * columns * depth / (kDotRows * lanes<W> * most(3, kDotColumns));
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
