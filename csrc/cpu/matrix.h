// Matrices between memory and scratch: copy, transpose, convert.
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
template <typename W, typename T>
inline void transpose(int64_t rows, int64_t columns, const T* from, int64_t from_row, W* to, int64_t to_row,
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
      for (int v = 0; v < n; ++v) to[j * to_row + i + v] = to_wide(from[(i + v) * from_row + j]);
  }
  for (; i < width; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_row + i] = i < rows ? to_wide(from[i * from_row + j]) : W(0);
}

// One sample of a feature map, in either layout.
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

// Some channels at some positions of a feature map.
struct Piece {
  int64_t channel, channels, position, positions;
};

// to[count, to_row]: channels `first`.. as rows over `positions` from `start`, zeros up to to_row.
template <typename W, typename T>
inline void read_channels(const SampleMap<T>& map, const Piece& piece, W* to, int64_t to_row) {
  const T* from = map.at(piece.channel, piece.position);
  if (map.positions_inner()) {
    copy_in(piece.channels, piece.positions, from, map.channel_stride, to, to_row, to_row);
  } else {
    transpose<W>(piece.positions, piece.channels, from, map.position_stride, to, to_row, to_row);
  }
}

// to[positions, to_row]: positions as rows over channels `first`.., zeros up to to_row.
template <typename W, typename T>
inline void read_positions(const SampleMap<T>& map, const Piece& piece, W* to, int64_t to_row) {
  const T* from = map.at(piece.channel, piece.position);
  if (map.positions_inner()) {
    transpose<W>(piece.channels, piece.positions, from, map.channel_stride, to, to_row, to_row);
  } else {
    copy_in(piece.positions, piece.channels, from, map.position_stride, to, to_row, to_row);
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
