// Matrices in shared memory as sums of bfloat16 numbers, for the tensor cores: two parts hold 16 bits of a mantissa,
// three hold all 24 of a float32. Rows and columns are padded with zeros, so that products need no guards.
#pragma once

#include "mma.cuh"

namespace sma::cuda {

constexpr int kHeadThreads = 512;
constexpr int kHeadWarps = kHeadThreads / kLanes;

using Part = __nv_bfloat16;
using PartMma = mma_16bit<Part>;

__host__ __device__ constexpr int round_up(int size, int multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

// Elements between rows of a tile of parts: an odd multiple of 16 bytes, so that matrix loads have no bank conflicts.
__host__ __device__ constexpr int part_pitch(int columns) { return round_up(columns, 16) + 8; }

struct PartTile {
  Part* data;
  int pitch;
  int plane;  // elements between parts

  __device__ __forceinline__ PartTile from(int row, int column) const {
    return {data + row * pitch + column, pitch, plane};
  }
  __device__ __forceinline__ Tile<Part> part(int p, bool transposed) const {
    return {data + p * plane, pitch, transposed};
  }
};

// Splits a pair of adjacent elements. A non-finite number becomes NaN in the lower parts.
template <int kParts>
__device__ __forceinline__ void store_pair(const PartTile& tile, int row, int column, float x, float y) {
  Part* to = tile.data + row * tile.pitch + column;
  for (int p = 0; p < kParts; ++p) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
    *reinterpret_cast<__nv_bfloat162*>(to + p * tile.plane) = pair;
    x -= __low2float(pair);
    y -= __high2float(pair);
  }
}

// How the threads of a block share the rows of a tile: each takes the same columns of every rows_at_once-th row. Narrow
// tiles are divided for their width, so that no thread is idle.
struct RowThreads {
  int row, column, rows_at_once;

  // Vectors of kElements elements; kWidth is the largest number of columns.
  template <int kWidth, int kElements>
  static __device__ __forceinline__ RowThreads of(int columns) {
    constexpr int kShift = kElements == 1 ? 0 : kElements == 2 ? 1 : kElements == 4 ? 2 : 3;
    static_assert(1 << kShift == kElements);
    const int shift = (kWidth > 64 && columns > 64 ? 7 : kWidth > 32 && columns > 32 ? 6 : 5) - kShift;
    return {thread() >> shift, (thread() & ((1 << shift) - 1)) << kShift, kHeadThreads >> shift};
  }
};

// Fills rows x columns of a tile with element(row, column), and zeros up to multiples of 16. kWidth is the largest
// number of columns; a thread fills pairs of columns, and reads kAtOnce of them before it writes any.
template <int kParts, int kWidth, int kAtOnce = kParts == 3 ? 1 : 2, class Element>
__device__ __forceinline__ void fill_tile(const PartTile& tile, int rows, int columns, const Element& element) {
  const RowThreads own = RowThreads::of<kWidth, 2>(columns);
  const int column = own.column;
  if (column >= round_up(columns, 16)) return;
  const bool has_first = column < columns, has_second = column + 1 < columns;
  const int padded_rows = round_up(rows, 16);
#pragma unroll 1
  for (int first = own.row; first < padded_rows; first += kAtOnce * own.rows_at_once) {
    float x[kAtOnce], y[kAtOnce];
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const int row = first + r * own.rows_at_once;
      x[r] = row < rows && has_first ? element(row, column) : 0.0f;
      y[r] = row < rows && has_second ? element(row, column + 1) : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kAtOnce; ++r) {
      const int row = first + r * own.rows_at_once;
      if (row < padded_rows) store_pair<kParts>(tile, row, column, x[r], y[r]);
    }
  }
}

// sum += a b, the products of all pairs of parts that matter, smallest first.
template <int kLeft, int kRight>
__device__ __forceinline__ void multiply_parts(float (&sum)[2][4], const PartMma::Left (&a)[kLeft],
                                               const PartMma::Right (&b)[kRight]) {
  constexpr int kLast = (kLeft > kRight ? kLeft : kRight) - 1;
#pragma unroll
  for (int order = kLast; order >= 0; --order) {
#pragma unroll
    for (int p = 0; p <= order; ++p) {
      if (p < kLeft && order - p < kRight) PartMma::multiply(sum, a[p], b[order - p]);
    }
  }
}

// Adds rows row..row+16 of left times the 16-column tiles first, first + step, ... of right, up to `tiles`, to `sums`.
// Three parts start from zero every 16 elements of depth: tensor cores round towards zero, which would add up.
template <int kLeft, int kRight, int kTiles>
__device__ __forceinline__ void multiply_tiles(float (&sums)[kTiles][2][4], const PartTile& left, bool left_transposed,
                                               int row, const PartTile& right, bool right_transposed, int depth,
                                               int first, int step, int tiles) {
  constexpr bool kExact = kLeft == 3 || kRight == 3;
#pragma unroll 1
  for (int k = 0; k < depth; k += 16) {
    PartMma::Left a[kLeft];
#pragma unroll
    for (int p = 0; p < kLeft; ++p) a[p] = tile_left<PartMma>(left.part(p, left_transposed), row, k);
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      const int tile = first + t * step;
      if (tile >= tiles) break;
      PartMma::Right b[kRight];
#pragma unroll
      for (int p = 0; p < kRight; ++p) b[p] = tile_right<PartMma>(right.part(p, right_transposed), k, 16 * tile);
      if constexpr (kExact) {
        float sum[2][4] = {};
        multiply_parts(sum, a, b);
        for (int half = 0; half < 2; ++half) {
          for (int e = 0; e < 4; ++e) sums[t][half][e] += sum[half][e];
        }
      } else {
        multiply_parts(sums[t], a, b);
      }
    }
  }
}

}  // namespace sma::cuda
