// Copies of 64x64 tiles of a feature map or a matrix between global and shared memory.
//
// A map consists of rows of contiguous elements: one per channel (NCHW) or one per position (channels_last). A tile
// keeps that order. Rows are copied in vectors as wide as their alignment allows. If all positions of a channel fit in
// a tile but rows are misaligned (7x7), the channels of a tile are contiguous in memory: they are copied flat, in
// 16-byte vectors, and spread over the rows of the tile in shared memory.
#pragma once

#include "math.cuh"

namespace sma::cuda {

constexpr int kTile = 64;

// 16 bytes of padding per row avoid shared-memory bank conflicts and keep rows aligned for 16-byte accesses.
template <class T>
constexpr int kPitch = kTile + 16 / static_cast<int>(sizeof(T));
template <class T>
constexpr int kTileElements = kTile * kPitch<T>;

// A batch of matrices, as rows of contiguous elements.
template <class T>
struct Rows {
  T* data;
  int64_t batch_stride;
  int64_t row_stride;
  int vector_bytes;  // alignment of every 64th element of every row, at most 16
};

// A feature map.
template <class T>
struct Map {
  Rows<T> rows;
  bool channels_last;  // a row is a position
  bool flat;           // a tile holds all positions; its channels are contiguous and 16-byte aligned

  // Element (channel, position) of a sample.
  __device__ __forceinline__ T* at(int64_t sample, int channel, int position) const {
    return rows.data + sample * rows.batch_stride +
           (channels_last ? position * rows.row_stride + channel : channel * rows.row_stride + position);
  }
};

template <int kBytes, class T>
__device__ __forceinline__ void load_vectors(T* tile, int tile_rows, const T* from, int64_t row_stride, int rows,
                                             int columns) {
  constexpr int kElements = kBytes / static_cast<int>(sizeof(T)), kVectors = kTile / kElements;
  for (int i = thread(); i < tile_rows * kVectors; i += threads()) {
    const int row = i / kVectors, column = i % kVectors * kElements;
    const int left = row < rows ? columns - column : 0;
    const int valid = left < 0 ? 0 : left < kElements ? left : kElements;
    T* to = tile + row * kPitch<T> + column;
    const T* source = valid > 0 ? from + row * row_stride + column : from;
    if constexpr (kBytes >= 4) {
      copy_async<kBytes>(to, source, valid * static_cast<int>(sizeof(T)));
    } else {
      *to = valid > 0 ? *source : from_acc<T>(0.0f);
    }
  }
}

// Starts the copy of `rows` x `columns` elements to a tile of `tile_rows` rows, zeros around them.
template <class T>
__device__ __forceinline__ void load_tile(T* tile, int tile_rows, const T* from, int64_t row_stride, int vector_bytes,
                                          int rows, int columns) {
  if (vector_bytes == 16) {
    load_vectors<16>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (vector_bytes == 8) {
    load_vectors<8>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (vector_bytes == 4 || sizeof(T) == 4) {
    load_vectors<4>(tile, tile_rows, from, row_stride, rows, columns);
  } else {
    load_vectors<sizeof(T)>(tile, tile_rows, from, row_stride, rows, columns);
  }
}

// Starts the copy of `channels` x `positions` elements of a map.
template <class T>
__device__ __forceinline__ void load_map(T* buffer, const Map<const T>& map, int64_t sample, int channel, int channels,
                                         int position, int positions) {
  const T* from = map.at(sample, channel, position);
  if (map.flat) {
    constexpr int kElements = 16 / static_cast<int>(sizeof(T));
    const int count = channels * positions;
    for (int i = thread() * kElements; i < count; i += threads() * kElements) {
      const int valid = count - i < kElements ? count - i : kElements;
      copy_async<16>(buffer + i, from + i, valid * static_cast<int>(sizeof(T)));
    }
  } else if (map.channels_last) {
    load_tile(buffer, kTile, from, map.rows.row_stride, map.rows.vector_bytes, positions, channels);
  } else {
    load_tile(buffer, kTile, from, map.rows.row_stride, map.rows.vector_bytes, channels, positions);
  }
}

// Spreads flat channels over the rows of a tile.
template <class T>
__device__ __forceinline__ void unflatten(T* tile, const T* flat, int channels, int positions) {
  for (int i = thread(); i < kTile * kTile; i += threads()) {
    const int channel = i / kTile, position = i % kTile;
    const bool inside = channel < channels && position < positions;
    tile[channel * kPitch<T> + position] = inside ? flat[channel * positions + position] : from_acc<T>(0.0f);
  }
}

// Index of (channel, position) in a tile laid out like the map.
template <class T>
__device__ __forceinline__ int tile_index(const Map<T>& map, int channel, int position, int positions) {
  if (map.flat) return channel * positions + position;
  return map.channels_last ? position * kPitch<T> + channel : channel * kPitch<T> + position;
}

template <class Vector, class T>
__device__ __forceinline__ void store_vectors(T* to, int64_t row_stride, const T* tile, int pitch, int rows,
                                              int columns) {
  constexpr int kElements = static_cast<int>(sizeof(Vector) / sizeof(T));
  const int vectors = (columns + kElements - 1) / kElements;
  for (int i = thread(); i < rows * vectors; i += threads()) {
    const int row = i / vectors, column = i % vectors * kElements;
    const T* source = tile + row * pitch + column;
    T* target = to + row * row_stride + column;
    if (columns - column >= kElements) {
      *reinterpret_cast<Vector*>(target) = *reinterpret_cast<const Vector*>(source);
    } else {
      for (int e = 0; e < columns - column; ++e) target[e] = source[e];
    }
  }
}

// Writes a tile, laid out by `tile_index`, to a map.
template <class T>
__device__ __forceinline__ void store_map(const Map<T>& map, int64_t sample, int channel, int channels, int position,
                                          int positions, const T* tile) {
  T* to = map.at(sample, channel, position);
  if (map.flat) {
    store_vectors<uint4>(to, 0, tile, 0, 1, channels * positions);
    return;
  }
  const int rows = map.channels_last ? positions : channels;
  const int columns = map.channels_last ? channels : positions;
  if (map.rows.vector_bytes == 16) {
    store_vectors<uint4>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  } else if (map.rows.vector_bytes == 8) {
    store_vectors<uint2>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  } else {
    store_vectors<T>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  }
}

// Double buffer. A conditional, not an array: indexing would put the pointers in local memory.
template <class T>
struct Buffers {
  T *even, *odd;

  __device__ __forceinline__ T* operator[](int i) const { return i % 2 == 0 ? even : odd; }
};

// The buffers through which the tiles of a map stream, and the tile over which flat ones are spread.
template <class T>
struct MapStream {
  Buffers<T> buffers;
  T* tile;  // null if the map is not flat

  // The tile of `stage`, once its copies have arrived. All threads of the block must call.
  __device__ __forceinline__ const T* ready_tile(const Map<const T>& map, int stage, int channels,
                                                 int positions) const {
    sync_block();
    if (!map.flat) return buffers[stage];
    unflatten(tile, buffers[stage], channels, positions);
    sync_block();
    return tile;
  }
};

}  // namespace sma::cuda
