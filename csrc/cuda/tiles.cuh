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
  int vector_bytes;  // alignment of every row, and divisor of its length; at most 16
};

// A feature map.
template <class T>
struct Map {
  Rows<T> rows;
  bool channels_last;  // a row is a position
  bool flat;           // a tile holds all positions; its channels are contiguous, in whole 16-byte vectors

  // Element (channel, position) of a sample.
  __device__ __forceinline__ T* at(int64_t sample, int channel, int position) const {
    return rows.data + sample * rows.batch_stride +
           (channels_last ? position * rows.row_stride + channel : channel * rows.row_stride + position);
  }
};

// For rows without alignment. Reads a batch of elements before it writes the first, so that their latencies overlap.
template <int kThreads, class T>
__device__ __forceinline__ void load_elements(T* tile, int tile_rows, const T* from, int64_t row_stride, int rows,
                                              int columns) {
  constexpr int kRowsAtOnce = kThreads / kTile, kBatch = 8, kBatchRows = kBatch * kRowsAtOnce;
  const int first_row = thread() / kTile, column = thread() % kTile;
  T* to = tile + first_row * kPitch<T> + column;
  const T* source = from + first_row * row_stride + column;
#pragma unroll 1
  for (int start = 0; start < tile_rows; start += kBatchRows) {
    T batch[kBatch];
    const auto inside = [&](int i) { return column < columns && start + i * kRowsAtOnce < rows - first_row; };
    for (int i = 0; i < kBatch; ++i) batch[i] = *(inside(i) ? source + i * kRowsAtOnce * row_stride : from);
    for (int i = 0; i < kBatch; ++i) {
      if (tile_rows % kBatchRows == 0 || start + i * kRowsAtOnce < tile_rows - first_row) {
        to[i * kRowsAtOnce * kPitch<T>] = inside(i) ? batch[i] : from_acc<T>(0.0f);
      }
    }
    to += kBatchRows * kPitch<T>;
    source += kBatchRows * row_stride;
  }
}

template <int kThreads, int kBytes, class T>
__device__ __forceinline__ void load_vectors(T* tile, int tile_rows, const T* from, int64_t row_stride, int rows,
                                             int columns) {
  constexpr int kElements = kBytes / static_cast<int>(sizeof(T)), kVectors = kTile / kElements;
  constexpr int kRowsAtOnce = kThreads / kVectors;
  const int first_row = thread() / kVectors, column = thread() % kVectors * kElements;
  T* to = tile + first_row * kPitch<T> + column;
  const T* source = from + first_row * row_stride + column;
#pragma unroll 8
  for (int i = 0; i < tile_rows; i += kRowsAtOnce) {
    if (tile_rows % kRowsAtOnce == 0 || i < tile_rows - first_row) {
      const bool inside = i < rows - first_row && column < columns;
      copy_async<kBytes>(to, source, inside ? kBytes : 0);
    }
    to += kRowsAtOnce * kPitch<T>;
    source += kRowsAtOnce * row_stride;
  }
}

// Starts the copy of `rows` x `columns` elements to a tile of `tile_rows` rows, zeros around them; `columns` is a
// multiple of a vector. A block has kThreads threads: a constant, so that each thread's copies are unrolled.
template <int kThreads, class T>
__device__ __forceinline__ void load_tile(T* tile, int tile_rows, const T* from, int64_t row_stride, int vector_bytes,
                                          int rows, int columns) {
  if (vector_bytes == 16) {
    load_vectors<kThreads, 16>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (vector_bytes == 8) {
    load_vectors<kThreads, 8>(tile, tile_rows, from, row_stride, rows, columns);
  } else if (vector_bytes == 4 || sizeof(T) == 4) {
    load_vectors<kThreads, 4>(tile, tile_rows, from, row_stride, rows, columns);
  } else {
    load_elements<kThreads>(tile, tile_rows, from, row_stride, rows, columns);
  }
}

// Starts the copy of `channels` x `positions` elements of a map, zeros around them.
template <int kThreads, class T>
__device__ __forceinline__ void load_map(T* buffer, const Map<const T>& map, int64_t sample, int channel, int channels,
                                         int position, int positions) {
  const T* from = map.at(sample, channel, position);
  if (map.flat) {
    constexpr int kElements = 16 / static_cast<int>(sizeof(T));
    const int first = thread() * kElements;
#pragma unroll
    for (int i = 0; i < kTile * kTile; i += kThreads * kElements) {
      if (i < kTile * positions - first) {
        copy_async<16>(buffer + first + i, from + first + i, i < channels * positions - first ? 16 : 0);
      }
    }
  } else {
    const int rows = map.channels_last ? positions : channels, columns = map.channels_last ? channels : positions;
    load_tile<kThreads>(buffer, kTile, from, map.rows.row_stride, map.rows.vector_bytes, rows, columns);
  }
}

// The 16 bytes from element `first` of a 16-byte aligned array on, as words. Reads whole words: up to two bytes more.
template <class T>
__device__ __forceinline__ void read_vector(const T* array, int first, uint32_t (&words)[4]) {
  constexpr int kPerWord = 4 / static_cast<int>(sizeof(T));
  const auto* from = reinterpret_cast<const uint32_t*>(array) + first / kPerWord;
  for (int w = 0; w < 4; ++w) words[w] = from[w];
  if constexpr (kPerWord == 2) {
    const uint32_t last = from[4];
    const int shift = first % 2 * 16;
    for (int w = 0; w < 4; ++w) {
      const uint64_t pair = static_cast<uint64_t>(w < 3 ? words[w + 1] : last) << 32 | words[w];
      words[w] = static_cast<uint32_t>(pair >> shift);
    }
  }
}

// Spreads the flat channels of a tile over its rows, 16 bytes at a time.
template <int kThreads, class T>
__device__ __forceinline__ void unflatten(T* tile, const T* flat, int positions) {
  constexpr int kElements = 16 / static_cast<int>(sizeof(T)), kVectors = kTile / kElements;
  constexpr int kBits = 8 * static_cast<int>(sizeof(T)), kRowsAtOnce = kThreads / kVectors;
  const int first_channel = thread() / kVectors, position = thread() % kVectors * kElements;
  uint32_t inside[4];  // the bits of each word that belong to the channel
  for (int w = 0; w < 4; ++w) {
    const int bits = (positions - position) * kBits - 32 * w;
    inside[w] = bits >= 32 ? ~0u : bits > 0 ? (1u << bits) - 1 : 0;
  }
#pragma unroll
  for (int i = 0; i < kTile; i += kRowsAtOnce) {
    const int channel = first_channel + i;
    uint32_t words[4];
    read_vector(flat, channel * positions + position, words);
    *reinterpret_cast<uint4*>(tile + channel * kPitch<T> + position) =
        uint4{words[0] & inside[0], words[1] & inside[1], words[2] & inside[2], words[3] & inside[3]};
  }
}

// Index of (channel, position) in a tile laid out like the map.
template <class T>
__device__ __forceinline__ int tile_index(const Map<T>& map, int channel, int position, int positions) {
  if (map.flat) return channel * positions + position;
  return map.channels_last ? position * kPitch<T> + channel : channel * kPitch<T> + position;
}

// Zeros at the invalid positions of a tile, laid out by `tile_index`. Element `first` of the mask, which is null if all
// positions are valid, is the first of the tile. A barrier must precede; with a mask, one follows.
template <int kThreads, class Element, class T>
__device__ __forceinline__ void clear_invalid(const Map<Element>& map, const bool* mask, int64_t first, int positions,
                                              T* tile) {
  if (!mask) return;
  const bool* valid = mask + first;
  const int column = thread() % kTile;
  if (map.channels_last || (column < positions && !valid[column])) {
#pragma unroll 1
    for (int row = thread() / kTile; row < (map.channels_last ? positions : kTile); row += kThreads / kTile) {
      if (map.channels_last && valid[row]) continue;
      const int channel = map.channels_last ? column : row, position = map.channels_last ? row : column;
      tile[tile_index(map, channel, position, positions)] = from_acc<T>(0.0f);
    }
  }
  sync_block();
}

template <int kThreads, class Vector, class T>
__device__ __forceinline__ void store_vectors(T* to, int64_t row_stride, const T* tile, int rows, int columns) {
  constexpr int kElements = static_cast<int>(sizeof(Vector) / sizeof(T)), kVectors = kTile / kElements;
  constexpr int kRowsAtOnce = kThreads / kVectors;
  const int first_row = thread() / kVectors, column = thread() % kVectors * kElements;
  const T* source = tile + first_row * kPitch<T> + column;
  T* target = to + first_row * row_stride + column;
#pragma unroll 8
  for (int i = 0; i < kTile; i += kRowsAtOnce) {
    if (i < rows - first_row && column < columns) {
      *reinterpret_cast<Vector*>(target) = *reinterpret_cast<const Vector*>(source);
    }
    source += kRowsAtOnce * kPitch<T>;
    target += kRowsAtOnce * row_stride;
  }
}

// Writes a tile, laid out by `tile_index`, to a map.
template <int kThreads, class T>
__device__ __forceinline__ void store_map(const Map<T>& map, int64_t sample, int channel, int channels, int position,
                                          int positions, const T* tile) {
  T* to = map.at(sample, channel, position);
  if (map.flat) {
    constexpr int kElements = 16 / static_cast<int>(sizeof(T));
    const int first = thread() * kElements;
#pragma unroll
    for (int i = 0; i < kTile * kTile; i += kThreads * kElements) {
      if (i < channels * positions - first) {
        *reinterpret_cast<uint4*>(to + first + i) = *reinterpret_cast<const uint4*>(tile + first + i);
      }
    }
    return;
  }
  const int rows = map.channels_last ? positions : channels;
  const int columns = map.channels_last ? channels : positions;
  if (map.rows.vector_bytes == 16) {
    store_vectors<kThreads, uint4>(to, map.rows.row_stride, tile, rows, columns);
  } else if (map.rows.vector_bytes == 8) {
    store_vectors<kThreads, uint2>(to, map.rows.row_stride, tile, rows, columns);
  } else {
    store_vectors<kThreads, T>(to, map.rows.row_stride, tile, rows, columns);
  }
}

// Double buffer. A conditional, not an array: indexing would put the pointers in local memory.
template <class T>
struct Buffers {
  T *even, *odd;

  __device__ __forceinline__ T* operator[](int i) const { return i % 2 == 0 ? even : odd; }
};

// kStages buffers of `size` elements that take turns.
template <class T, int kStages>
struct Ring {
  T* first;
  int size;

  __device__ __forceinline__ T* operator[](int i) const { return first + i % kStages * size; }
};

}  // namespace sma::cuda
