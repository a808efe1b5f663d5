// Matrices between memory and scratch (copy, transpose, convert), and one register-blocked matrix product.
// Scratch matrices have rows padded to whole vectors; padding is zero unless said otherwise.
#pragma once

#include <type_traits>

#include "../sma_attention.h"
#include "vector.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Hands out scratch. Run once on a null base, it tells how much is needed.
struct Arena {
  char* base;
  size_t used = 0;

  template <typename W>
  W* take(int64_t count) {
    char* taken = base + used;
    used += (static_cast<size_t>(count) * sizeof(W) + 63) / 64 * 64;
    return base ? reinterpret_cast<W*>(taken) : nullptr;
  }
};

// to[rows, to_row] = from[rows, from_row], `columns` of them, zeros up to `width`.
template <typename W, typename T>
SMA_INLINE void copy_in(int64_t rows, int64_t columns, const T* from, int64_t from_row, W* to, int64_t to_row,
                        int64_t width) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* source = from + i * from_row;
    W* target = to + i * to_row;
    int64_t j = 0;
    for (; j + lanes<W> <= columns; j += lanes<W>) store(load(source + j), target + j);
    for (; j < columns; ++j) target[j] = to_wide(source[j]);
    for (; j < width; ++j) target[j] = 0;
  }
}

template <typename W, typename T>
SMA_INLINE void copy_out(int64_t rows, int64_t columns, const W* from, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t i = 0; i < rows; ++i) {
    const W* source = from + i * from_row;
    T* target = to + i * to_row;
    int64_t j = 0;
    for (; j + lanes<W> <= columns; j += lanes<W>) store(load(source + j), target + j);
    for (; j < columns; ++j) narrow(source[j], target + j);
  }
}

template <typename W, int step, size_t... j>
SMA_INLINE void exchange(Vector<W>& a, Vector<W>& b, std::index_sequence<j...>) {
  constexpr int n = lanes<W>;
  const Vector<W> low = __builtin_shufflevector(a, b, ((j & step) ? n + j - step : j)...);
  b = __builtin_shufflevector(a, b, ((j & step) ? n + j : j + step)...);
  a = low;
}

template <typename W, int step = 1>
SMA_INLINE void transpose_block(Vector<W>* rows) {
  if constexpr (step < lanes<W>) {
    for (int i = 0; i < lanes<W>; ++i)
      if (!(i & step)) exchange<W, step>(rows[i], rows[i + step], std::make_index_sequence<lanes<W>>{});
    transpose_block<W, 2 * step>(rows);
  }
}

// to[columns, to_row] = from[rows, from_row] transposed; columns of `to` are zero from `rows` up to `width`.
template <typename W, typename From, typename To>
inline void transpose(int64_t rows, int64_t columns, const From* from, int64_t from_row, To* to, int64_t to_row,
                      int64_t width) {
  constexpr int n = lanes<W>;
  int64_t i = 0;
  for (; i + n <= rows; i += n) {
    int64_t j = 0;
    for (; j + n <= columns; j += n) {
      Vector<W> block[n];
      for (int v = 0; v < n; ++v) block[v] = load(from + (i + v) * from_row + j);
      transpose_block<W>(block);
      for (int v = 0; v < n; ++v) store(block[v], to + (j + v) * to_row + i);
    }
    for (; j < columns; ++j)
      for (int v = 0; v < n; ++v) narrow(to_wide(from[(i + v) * from_row + j]), to + j * to_row + i + v);
  }
  for (; i < width; ++i)
    for (int64_t j = 0; j < columns; ++j)
      narrow(i < rows ? to_wide(from[i * from_row + j]) : W(0), to + j * to_row + i);
}

// One sample of a feature map, read and written either way round.
template <typename T>
struct SampleMap {
  T* data;
  int64_t channel_stride, position_stride;

  SampleMap(const FeatureMap& map, int64_t sample)
      : data(static_cast<T*>(map.data) + sample * map.batch_stride),
        channel_stride(map.channel_stride),
        position_stride(map.position_stride) {}

  bool positions_inner() const { return position_stride == 1; }
  T* at(int64_t channel, int64_t position) const {
    return data + channel * channel_stride + position * position_stride;
  }
};

// to[count, to_row]: channels `first`.. as rows over `positions` from `start`, zeros up to to_row.
template <typename W, typename T>
inline void read_channels(const SampleMap<T>& map, int64_t first, int64_t count, int64_t start, int64_t positions, W* to,
                          int64_t to_row) {
  if (map.positions_inner()) {
    copy_in(count, positions, map.at(first, start), map.channel_stride, to, to_row, to_row);
  } else {
    transpose<W>(positions, count, map.at(first, start), map.position_stride, to, to_row, to_row);
  }
}

// to[positions, to_row]: positions as rows over channels `first`.., zeros up to to_row.
template <typename W, typename T>
inline void read_positions(const SampleMap<T>& map, int64_t first, int64_t count, int64_t start, int64_t positions,
                           W* to, int64_t to_row) {
  if (map.positions_inner()) {
    transpose<W>(count, positions, map.at(first, start), map.channel_stride, to, to_row, to_row);
  } else {
    copy_in(positions, count, map.at(first, start), map.position_stride, to, to_row, to_row);
  }
}

// The inverse of read_channels.
template <typename W, typename T>
inline void write_channels(const W* from, int64_t from_row, const SampleMap<T>& map, int64_t first, int64_t count,
                           int64_t positions) {
  if (map.positions_inner()) {
    copy_out(count, positions, from, from_row, map.at(first, 0), map.channel_stride);
  } else {
    transpose<W>(count, positions, from, from_row, map.at(first, 0), map.position_stride, count);
  }
}

// --- C (+)= A B, with A[i,p] at any strides, B and C with contiguous rows of whole vectors ---

template <typename W, int rows, int vectors, bool accumulate>
SMA_INLINE void multiply_tile(int64_t depth, const W* a, int64_t a_row, int64_t a_depth, const W* b, int64_t b_row,
                              W* c, int64_t c_row) {
  Vector<W> sums[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) sums[i][v] = accumulate ? load(c + i * c_row + v * lanes<W>) : Vector<W>{};
  for (int64_t p = 0; p < depth; ++p) {
    Vector<W> right[vectors];
    for (int v = 0; v < vectors; ++v) right[v] = load(b + v * lanes<W>);
    for (int i = 0; i < rows; ++i) {
      const Vector<W> left = broadcast(a[i * a_row]);
      for (int v = 0; v < vectors; ++v) sums[i][v] += left * right[v];
    }
    a += a_depth;
    b += b_row;
  }
  for (int i = 0; i < rows; ++i)
    for (int v = 0; v < vectors; ++v) store(sums[i][v], c + i * c_row + v * lanes<W>);
}

template <typename W, int vectors, bool accumulate>
SMA_INLINE void multiply_columns(int64_t rows, int64_t depth, const W* a, int64_t a_row, int64_t a_depth, const W* b,
                                 int64_t b_row, W* c, int64_t c_row) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    multiply_tile<W, 4, vectors, accumulate>(depth, a + i * a_row, a_row, a_depth, b, b_row, c + i * c_row, c_row);
  a += i * a_row;
  c += i * c_row;
  if (rows - i == 3) multiply_tile<W, 3, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row);
  if (rows - i == 2) multiply_tile<W, 2, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row);
  if (rows - i == 1) multiply_tile<W, 1, vectors, accumulate>(depth, a, a_row, a_depth, b, b_row, c, c_row);
}

template <typename W, bool accumulate>
inline void multiply_block(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, int64_t a_depth,
                           const W* b, int64_t b_row, W* c, int64_t c_row) {
  constexpr int n = lanes<W>;
  int64_t j = 0;
  for (; j + 3 * n <= columns; j += 3 * n)
    multiply_columns<W, 3, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row);
  if (columns - j > n)
    multiply_columns<W, 2, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row);
  else if (columns - j > 0)
    multiply_columns<W, 1, accumulate>(rows, depth, a, a_row, a_depth, b + j, b_row, c + j, c_row);
}

// `columns` is a multiple of the vector. The depth is walked in pieces whose strip of B stays in the first cache.
template <typename W, bool accumulate>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, const W* a, int64_t a_row, int64_t a_depth,
                     const W* b, int64_t b_row, W* c, int64_t c_row) {
  constexpr int64_t piece = 256;
  const int64_t first = depth < piece ? depth : piece;
  multiply_block<W, accumulate>(rows, columns, first, a, a_row, a_depth, b, b_row, c, c_row);
  for (int64_t p = piece; p < depth; p += piece) {
    const int64_t count = depth - p < piece ? depth - p : piece;
    multiply_block<W, true>(rows, columns, count, a + p * a_depth, a_row, a_depth, b + p * b_row, b_row, c, c_row);
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
