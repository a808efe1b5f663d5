// Copies of rows between global memory and tiles of a width known at run time, by the blocks of the head kernels.
#pragma once

#include <type_traits>

#include "parts.cuh"
#include "tiles.cuh"

namespace sma::cuda {

// Starts the copy of rows x columns elements to a tile, zeros up to multiples of 16 around them. kWidth is the largest
// number of columns.
template <int kBytes, int kWidth, class T>
__device__ __forceinline__ void load_rows_by(T* tile, int pitch, const T* from, int64_t row_stride, int rows,
                                             int columns) {
  constexpr int kElements = kBytes / static_cast<int>(sizeof(T));
  const RowThreads own = RowThreads::of<kWidth, kElements>(columns);
  if (own.column >= round_up(columns, 16)) return;
  const int inside = max(0, min(kElements, columns - own.column));
  const int padded_rows = round_up(rows, 16);
  const T* source = from + own.row * row_stride + own.column;
  T* to = tile + own.row * pitch + own.column;
#pragma unroll 1
  for (int row = own.row; row < padded_rows; row += own.rows_at_once) {
    const int valid = row < rows ? inside : 0;
    copy_async<kBytes>(to, valid > 0 ? source : from, valid * static_cast<int>(sizeof(T)));
    source += own.rows_at_once * row_stride;
    to += own.rows_at_once * pitch;
  }
}

// The same for rows without alignment, element by element: several are read before any is written.
template <int kWidth, class T>
__device__ __forceinline__ void load_unaligned_rows(T* tile, int pitch, const T* from, int64_t row_stride, int rows,
                                                    int columns) {
  constexpr int kAtOnce = 8;
  const RowThreads own = RowThreads::of<kWidth, 1>(columns);
  const int padded_rows = round_up(rows, 16);
  if (own.column >= round_up(columns, 16)) return;
#pragma unroll 1
  for (int first = own.row; first < padded_rows; first += kAtOnce * own.rows_at_once) {
    T batch[kAtOnce];
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const int row = first + r * own.rows_at_once;
      const bool is_inside = row < rows && own.column < columns;
      batch[r] = is_inside ? from[row * row_stride + own.column] : from_acc<T>(0.0f);
    }
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const int row = first + r * own.rows_at_once;
      if (row < padded_rows) tile[row * pitch + own.column] = batch[r];
    }
  }
}

template <int kWidth, class T>
__device__ __forceinline__ void load_rows(T* tile, int pitch, const Rows<const T>& map, const T* from, int rows,
                                          int columns) {
  if (map.vector_bytes == 16) {
    load_rows_by<16, kWidth>(tile, pitch, from, map.row_stride, rows, columns);
  } else if (map.vector_bytes == 8) {
    load_rows_by<8, kWidth>(tile, pitch, from, map.row_stride, rows, columns);
  } else if (map.vector_bytes == 4 || sizeof(T) == 4) {
    load_rows_by<4, kWidth>(tile, pitch, from, map.row_stride, rows, columns);
  } else {
    load_unaligned_rows<kWidth>(tile, pitch, from, map.row_stride, rows, columns);
  }
}

// `count` elements are whole 16-byte vectors.
template <class T>
__device__ __forceinline__ void load_flat(T* buffer, const T* from, int count) {
  constexpr int kElements = 16 / static_cast<int>(sizeof(T));
#pragma unroll 1
  for (int i = thread() * kElements; i < count; i += kHeadThreads * kElements) copy_async<16>(buffer + i, from + i, 16);
}

template <class T>
__device__ __forceinline__ void store_flat(T* to, const T* buffer, int count) {
  constexpr int kElements = 16 / static_cast<int>(sizeof(T));
#pragma unroll 1
  for (int i = thread() * kElements; i < count; i += kHeadThreads * kElements) {
    *reinterpret_cast<uint4*>(to + i) = *reinterpret_cast<const uint4*>(buffer + i);
  }
}

template <int kBytes, int kWidth, class T>
__device__ __forceinline__ void store_rows_by(T* to, int64_t row_stride, const T* tile, int pitch, int rows,
                                              int columns) {
  using Vector = std::conditional_t<kBytes == 16, uint4, std::conditional_t<kBytes == 8, uint2, T>>;
  const RowThreads own = RowThreads::of<kWidth, kBytes / static_cast<int>(sizeof(T))>(columns);
  if (own.column >= columns) return;
  const T* source = tile + own.row * pitch + own.column;
  T* target = to + own.row * row_stride + own.column;
#pragma unroll 1
  for (int row = own.row; row < rows; row += own.rows_at_once) {
    *reinterpret_cast<Vector*>(target) = *reinterpret_cast<const Vector*>(source);
    source += own.rows_at_once * pitch;
    target += own.rows_at_once * row_stride;
  }
}

// Writes rows x columns elements of a tile.
template <int kWidth, class T>
__device__ __forceinline__ void store_rows(const Rows<T>& map, T* to, const T* tile, int pitch, int rows, int columns) {
  if (map.vector_bytes == 16) {
    store_rows_by<16, kWidth>(to, map.row_stride, tile, pitch, rows, columns);
  } else if (map.vector_bytes == 8) {
    store_rows_by<8, kWidth>(to, map.row_stride, tile, pitch, rows, columns);
  } else {
    store_rows_by<sizeof(T), kWidth>(to, map.row_stride, tile, pitch, rows, columns);
  }
}

}  // namespace sma::cuda
