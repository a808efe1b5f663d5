// Copies, transposes and converts matrices between memory and scratch.
// Rows of scratch matrices are padded to whole vectors, with zeros unless noted.
#pragma once

#include <type_traits>

#include "../sma_attention.h"
#include "vector.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Bump allocator. With a null base it only counts bytes.
struct Arena {
  char* base;
  size_t used = 0;

  template <typename acc_t>
  acc_t* take(int64_t count) {
    char* start = base + used;
    used += (static_cast<size_t>(count) * sizeof(acc_t) + 63) / 64 * 64;
    return base ? reinterpret_cast<acc_t*>(start) : nullptr;
  }
};

// to[rows, to_row] = from[rows, from_row], the first `columns`, then zeros up to `width`.
template <typename acc_t, typename T>
SMA_INLINE void copy_in(int64_t rows, int64_t columns, const T* from, int64_t from_row, acc_t* to, int64_t to_row,
                        int64_t width) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* source = from + i * from_row;
    acc_t* target = to + i * to_row;
    int64_t j = 0;
    for (; j + lanes<acc_t> <= columns; j += lanes<acc_t>) store(load(source + j), target + j);
    for (; j < columns; ++j) target[j] = to_acc(source[j]);
    for (; j < width; ++j) target[j] = 0;
  }
}

template <typename acc_t, typename T>
SMA_INLINE void copy_out(int64_t rows, int64_t columns, const acc_t* from, int64_t from_row, T* to, int64_t to_row) {
  for (int64_t i = 0; i < rows; ++i) {
    const acc_t* source = from + i * from_row;
    T* target = to + i * to_row;
    int64_t j = 0;
    for (; j + lanes<acc_t> <= columns; j += lanes<acc_t>) store(load(source + j), target + j);
    for (; j < columns; ++j) from_acc(source[j], target + j);
  }
}

template <typename acc_t, int step, size_t... j>
SMA_INLINE void exchange(Vector<acc_t>& a, Vector<acc_t>& b, std::index_sequence<j...>) {
  constexpr int n = lanes<acc_t>;
  const Vector<acc_t> low = __builtin_shufflevector(a, b, ((j & step) ? n + j - step : j)...);
  b = __builtin_shufflevector(a, b, ((j & step) ? n + j : j + step)...);
  a = low;
}

template <typename acc_t, int step = 1>
SMA_INLINE void transpose_block(Vector<acc_t>* rows) {
  if constexpr (step < lanes<acc_t>) {
    for (int i = 0; i < lanes<acc_t>; ++i)
      if (!(i & step)) exchange<acc_t, step>(rows[i], rows[i + step], std::make_index_sequence<lanes<acc_t>>{});
    transpose_block<acc_t, 2 * step>(rows);
  }
}

// to[columns, to_row] = from[rows, from_row] transposed, then zeros from column `rows` up to `width`.
template <typename acc_t, typename T>
inline void transpose(int64_t rows, int64_t columns, const T* from, int64_t from_row, acc_t* to, int64_t to_row,
                      int64_t width) {
  constexpr int n = lanes<acc_t>;
  int64_t i = 0;
  for (; i + n <= rows; i += n) {
    int64_t j = 0;
    for (; j + n <= columns; j += n) {
      Vector<acc_t> block[n];
      for (int v = 0; v < n; ++v) block[v] = load(from + (i + v) * from_row + j);
      transpose_block<acc_t>(block);
      for (int v = 0; v < n; ++v) store(block[v], to + (j + v) * to_row + i);
    }
    for (; j < columns; ++j)
      for (int v = 0; v < n; ++v) to[j * to_row + i + v] = to_acc(from[(i + v) * from_row + j]);
  }
  for (; i < width; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_row + i] = i < rows ? to_acc(from[i * from_row + j]) : acc_t(0);
}

// The mask of a sample [L], null if every position is valid.
inline const bool* valid_positions(const Shape& shape, const Inputs& in, int64_t sample) {
  return in.mask ? in.mask + sample * shape.positions : nullptr;
}

// One sample of a feature map, in either layout.
template <typename T>
struct SampleMap {
  T* data;
  int64_t channel_stride, position_stride;
  const bool* valid;  // positions that sums over positions read, and that gradients are not 0 at; null if all

  SampleMap(const FeatureMap& map, int64_t sample, const bool* valid_or_null = nullptr)
      : data(static_cast<T*>(map.data) + sample * map.batch_stride),
        channel_stride(map.channel_stride),
        position_stride(map.position_stride),
        valid(valid_or_null) {}

  bool positions_inner() const { return position_stride == 1; }
  T* at(int64_t channel, int64_t position) const {
    return data + channel * channel_stride + position * position_stride;
  }
};

// A range of channels at a range of positions of a feature map: first channel, count, first position, count.
struct MapTile {
  int64_t channel, channels, position, positions;
};

// Not by std::count and its like, whose instances the linker would share between instruction sets.
inline int64_t count_valid(const bool* valid, int64_t positions) {
  int64_t count = 0;
  for (int64_t l = 0; l < positions; ++l) count += valid[l];
  return count;
}

template <typename T>
inline bool all_valid(const SampleMap<T>& map, const MapTile& tile) {
  return !map.valid || count_valid(map.valid + tile.position, tile.positions) == tile.positions;
}

// Zeros at the positions of the tile that are not valid.
template <typename T>
inline void clear_invalid(const SampleMap<T>& map, const MapTile& tile) {
  if (all_valid(map, tile)) return;
  const bool inner = map.positions_inner();
  const int64_t end = tile.position + tile.positions;
  const int64_t runs = inner ? tile.channels : 1, length = inner ? 1 : tile.channels;
  for (int64_t run = 0; run < runs; ++run)
    for (int64_t l = tile.position; l < end; ++l)
      if (!map.valid[l])
        for (int64_t c = 0; c < length; ++c) *map.at(tile.channel + run + c, l) = T{};
}

// The same for rows [., width] of sums over channels.
template <typename acc_t>
inline void clear_invalid(const bool* valid, int64_t positions, int64_t rows, int64_t width, acc_t* sums) {
  if (!valid) return;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t l = 0; l < positions; ++l)
      if (!valid[l]) sums[i * width + l] = 0;
}

// to[channels, to_row]: the tile with channels as rows, zeros up to to_row.
template <typename acc_t, typename T>
inline void read_channels(const SampleMap<T>& map, const MapTile& tile, acc_t* to, int64_t to_row) {
  const T* from = map.at(tile.channel, tile.position);
  if (map.positions_inner()) {
    copy_in(tile.channels, tile.positions, from, map.channel_stride, to, to_row, to_row);
  } else {
    transpose<acc_t>(tile.positions, tile.channels, from, map.position_stride, to, to_row, to_row);
  }
}

// to[positions, to_row]: the tile with positions as rows, zeros up to to_row and in those that are not valid.
template <typename acc_t, typename T>
inline void read_positions(const SampleMap<T>& map, const MapTile& tile, acc_t* to, int64_t to_row) {
  const T* from = map.at(tile.channel, tile.position);
  if (map.positions_inner()) {
    transpose<acc_t>(tile.channels, tile.positions, from, map.channel_stride, to, to_row, to_row);
  } else {
    copy_in(tile.positions, tile.channels, from, map.position_stride, to, to_row, to_row);
  }
  for (int64_t l = 0; map.valid && l < tile.positions; ++l)
    if (!map.valid[tile.position + l])
      for (int64_t i = 0; i < to_row; ++i) to[l * to_row + i] = 0;
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
