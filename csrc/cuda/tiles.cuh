// 64x64 tiles of a feature map, or of a matrix, between global and shared memory.
//
// A map is rows of contiguous elements: channels of positions (NCHW), or positions of channels (channels_last). A tile
// keeps that order. Rows travel in pieces as wide as their alignment allows. Where all positions of a channel fit a
// tile but rows start at odd addresses (7x7), the channels of a tile are one contiguous run of memory: it travels flat,
// in 16-byte pieces, and is spread over the tile's rows in shared memory.
#pragma once

#include "math.cuh"

namespace sma::cuda {

constexpr int kTile = 64;

// 16 bytes of padding turn the rows of a tile around the banks, and keep them aligned for 16-byte accesses.
template <class T>
constexpr int kPitch = kTile + 16 / static_cast<int>(sizeof(T));
template <class T>
constexpr int kTileElements = kTile * kPitch<T>;

// Matrices of one sample after another, as rows of contiguous elements.
template <class T>
struct Rows {
  T* data;
  int64_t batch_stride;
  int64_t row_stride;
  int piece;  // bytes; every row starts at a multiple of it, at every 64th element
};

// A feature map.
template <class T>
struct Map {
  Rows<T> rows;
  bool channels_last;  // a row is a position
  bool flat;           // all positions of a channel in one tile, channels back to back, 16-byte aligned

  // Element (channel, position) of a sample.
  __device__ __forceinline__ T* at(int64_t sample, int channel, int position) const {
    return rows.data + sample * rows.batch_stride +
           (channels_last ? position * rows.row_stride + channel : channel * rows.row_stride + position);
  }
};

template <int kBytes, class T>
__device__ __forceinline__ void load_pieces(T* tile, int tile_rows, const T* from, int64_t row_stride, int rows,
                                            int columns) {
  constexpr int kElements = kBytes / static_cast<int>(sizeof(T)), kPieces = kTile / kElements;
  for (int i = thread(); i < tile_rows * kPieces; i += threads()) {
    const int row = i / kPieces, column = i % kPieces * kElements;
    const int left = row < rows ? columns - column : 0;
    const int valid = left < 0 ? 0 : left < kElements ? left : kElements;
    T* to = tile + row * kPitch<T> + column;
    const T* source = valid > 0 ? from + row * row_stride + column : from;
    if constexpr (kBytes >= 4) {
      copy_async<kBytes>(to, source, valid * static_cast<int>(sizeof(T)));
    } else {
      *to = valid > 0 ? *source : narrow<T>(0.0f);
    }
  }
}

// Starts the copy of `rows` x `columns` elements to a tile of `tile_rows` rows, zeros around them.
template <class T>
__device__ __forceinline__ void load_tile(T* tile, int tile_rows, const T* from, int64_t row_stride, int piece,
                                          int rows, int columns) {
  if (piece == 16) {
    load_pieces<16>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (piece == 8) {
    load_pieces<8>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (piece == 4 || sizeof(T) == 4) {
    load_pieces<4>(tile, tile_rows, from, row_stride, rows, columns);
  } else {
    load_pieces<sizeof(T)>(tile, tile_rows, from, row_stride, rows, columns);
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
    load_tile(buffer, kTile, from, map.rows.row_stride, map.rows.piece, positions, channels);
  } else {
    load_tile(buffer, kTile, from, map.rows.row_stride, map.rows.piece, channels, positions);
  }
}

// Spreads a flat run over the rows of a tile.
template <class T>
__device__ __forceinline__ void spread(T* tile, const T* run, int channels, int positions) {
  for (int i = thread(); i < kTile * kTile; i += threads()) {
    const int channel = i / kTile, position = i % kTile;
    const bool inside = channel < channels && position < positions;
    tile[channel * kPitch<T> + position] = inside ? run[channel * positions + position] : narrow<T>(0.0f);
  }
}

// Elements of a tile in the order of a map: where (channel, position) of the tile lies.
template <class T>
__device__ __forceinline__ int tile_index(const Map<T>& map, int channel, int position, int positions) {
  if (map.flat) return channel * positions + position;
  return map.channels_last ? position * kPitch<T> + channel : channel * kPitch<T> + position;
}

template <class Piece, class T>
__device__ __forceinline__ void store_pieces(T* to, int64_t row_stride, const T* tile, int pitch, int rows,
                                             int columns) {
  constexpr int kElements = static_cast<int>(sizeof(Piece) / sizeof(T));
  const int pieces = (columns + kElements - 1) / kElements;
  for (int i = thread(); i < rows * pieces; i += threads()) {
    const int row = i / pieces, column = i % pieces * kElements;
    const T* source = tile + row * pitch + column;
    T* target = to + row * row_stride + column;
    if (columns - column >= kElements) {
      *reinterpret_cast<Piece*>(target) = *reinterpret_cast<const Piece*>(source);
    } else {
      for (int e = 0; e < columns - column; ++e) target[e] = source[e];
    }
  }
}

// Writes a tile, laid out by `tile_index`, to its place in a map.
template <class T>
__device__ __forceinline__ void store_map(const Map<T>& map, int64_t sample, int channel, int channels, int position,
                                          int positions, const T* tile) {
  T* to = map.at(sample, channel, position);
  if (map.flat) {
    store_pieces<uint4>(to, 0, tile, 0, 1, channels * positions);
    return;
  }
  const int rows = map.channels_last ? positions : channels;
  const int columns = map.channels_last ? channels : positions;
  if (map.rows.piece == 16) {
    store_pieces<uint4>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  } else if (map.rows.piece == 8) {
    store_pieces<uint2>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  } else {
    store_pieces<T>(to, map.rows.row_stride, tile, kPitch<T>, rows, columns);
  }
}

// Two buffers taken in turn. A choice, not an array: an index would put the pointers in local memory.
template <class T>
struct Buffers {
  T *even, *odd;

  __device__ __forceinline__ T* operator[](int i) const { return i % 2 == 0 ? even : odd; }
};

// The buffers through which the tiles of a map stream, and the tile that flat runs are spread over.
template <class T>
struct MapStream {
  Buffers<T> buffers;
  T* tile;  // null where the map is not flat

  // The tile of `stage`, once its copies have arrived; every thread of the block calls it.
  __device__ __forceinline__ const T* arrive(const Map<const T>& map, int stage, int channels, int positions) const {
    sync_block();
    if (!map.flat) return buffers[stage];
    spread(tile, buffers[stage], channels, positions);
    sync_block();
    return tile;
  }
};

}  // namespace sma::cuda
