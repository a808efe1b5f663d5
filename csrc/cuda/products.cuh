// Matrix products by a whole block, from operands that are functions of (row, column).
#pragma once

#include "parts.cuh"
#include "workspace.cuh"

namespace sma::cuda {

constexpr int kProductRows = 64;   // of a tile of the result
constexpr int kProductDepth = 64;  // summed per step
template <int kParts>
constexpr int kProductColumns = kParts == 3 ? 64 : 128;

// Shared memory for the two operands of a step. The right one has up to `columns` columns, or as many rows if it is
// stored along the depth.
struct ProductTiles {
  PartTile left, right;
  int columns;
};

__host__ __device__ constexpr int left_plane() { return kProductRows * part_pitch(kProductDepth); }
__host__ __device__ constexpr int right_plane(int columns) {
  const int by_column = columns * part_pitch(kProductDepth), by_depth = kProductDepth * part_pitch(columns);
  return by_column > by_depth ? by_column : by_depth;
}

// How warps share a tile of the result: a 16-row tile each, and every strips-th 16-column tile.
struct WarpTiles {
  int row, strip, strips;

  __device__ explicit WarpTiles(int rows) {
    const int row_tiles = rows > 32 ? 4 : rows > 16 ? 2 : 1;
    strips = kHeadWarps / row_tiles;
    row = 16 * (warp() % row_tiles);
    strip = warp() / row_tiles;
  }
};

// Calls store(row, column, sum) for the elements of this lane that lie in rows x columns.
template <int kTiles, class Store>
__device__ __forceinline__ void store_tiles(const float (&sums)[kTiles][2][4], const WarpTiles& warp_tiles, int rows,
                                            int columns, const Store& store) {
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int i = warp_tiles.row + accumulator_row(e);
        const int j = 16 * (warp_tiles.strip + t * warp_tiles.strips) + accumulator_column(half, e);
        if (i < rows && j < columns) store(i, j, sums[t][half][e]);
      }
    }
  }
}

enum class Along { depth, side };  // the index of an operand whose elements are adjacent in memory

// result(i, j) = sum over k of left(i, k) right(k, j). Calls store(i, j, result) once per element, from the same thread
// for the same sizes. Sums of 64 products are added up, so that the error grows with their number, not with the depth.
// All threads must call. A barrier precedes the first read, none follows the last store.
template <int kParts, Along kLeftAlong, Along kRightAlong, class LeftOperand, class RightOperand, class Store>
__device__ __forceinline__ void block_matmul(const ProductTiles& tiles, int all_rows, int all_columns, int all_depth,
                                             const LeftOperand& left, const RightOperand& right, const Store& store) {
  constexpr int kColumns = kProductColumns<kParts>;
  constexpr int kTiles = kColumns / 64;  // 16-column tiles of a warp: with four row tiles, warps form four strips
#pragma unroll 1
  for (int row = 0; row < all_rows; row += kProductRows) {
    const int rows = min(kProductRows, all_rows - row);
    const WarpTiles warp_tiles(rows);
#pragma unroll 1
    for (int column = 0; column < all_columns; column += tiles.columns) {
      const int columns = min(tiles.columns, all_columns - column);
      float totals[kTiles][2][4] = {};
#pragma unroll 1
      for (int start = 0; start < all_depth; start += kProductDepth) {
        const int depth = min(kProductDepth, all_depth - start);
        PartTile a = tiles.left, b = tiles.right;
        a.pitch = part_pitch(kProductDepth);  // of both orientations
        b.pitch = kRightAlong == Along::depth ? part_pitch(kProductDepth) : part_pitch(tiles.columns);
        sync_block();  // the previous step has read the tiles
        if constexpr (kLeftAlong == Along::depth) {
          fill_tile<kParts, kProductDepth>(a, rows, depth, [&](int i, int k) { return left(row + i, start + k); });
        } else {
          fill_tile<kParts, kProductRows>(a, depth, rows, [&](int k, int i) { return left(row + i, start + k); });
        }
        if constexpr (kRightAlong == Along::depth) {
          fill_tile<kParts, kProductDepth>(b, columns, depth,
                                           [&](int j, int k) { return right(start + k, column + j); });
        } else {
          fill_tile<kParts, kColumns>(b, depth, columns, [&](int k, int j) { return right(start + k, column + j); });
        }
        sync_block();
        if (warp_tiles.row < rows) {
          float sums[kTiles][2][4] = {};
          multiply_tiles<kParts, kParts>(sums, a, kLeftAlong == Along::side, warp_tiles.row, b,
                                         kRightAlong == Along::depth, depth, warp_tiles.strip, warp_tiles.strips,
                                         (columns + 15) / 16);
          for (int t = 0; t < kTiles; ++t) {
            for (int half = 0; half < 2; ++half) {
              for (int e = 0; e < 4; ++e) totals[t][half][e] += sums[t][half][e];
            }
          }
        }
      }
      store_tiles(totals, warp_tiles, rows, columns, [&](int i, int j, float sum) { store(row + i, column + j, sum); });
    }
  }
}

// product = a b^T over `depth` columns. A barrier must follow.
template <int kParts>
__device__ __forceinline__ void multiply_rows(const ProductTiles& tiles, const Matrix& a, const Matrix& b, int rows,
                                              int depth, const Matrix& product) {
  block_matmul<kParts, Along::depth, Along::depth>(
      tiles, rows, rows, depth, [&](int i, int l) { return a(i, l); }, [&](int l, int j) { return b(j, l); },
      [&](int i, int j, float sum) { product(i, j) = sum; });
}

// strip += scale a b, or scale a^T b if `transposed`, where a is square. A barrier must follow.
template <int kParts>
__device__ __forceinline__ void add_product(const ProductTiles& tiles, float scale, const Matrix& a, bool transposed,
                                            int rows, const Matrix& b, int columns, const Matrix& strip) {
  block_matmul<kParts, Along::depth, Along::side>(
      tiles, rows, columns, rows, [&](int i, int j) { return transposed ? a(j, i) : a(i, j); },
      [&](int j, int l) { return b(j, l); },
      [&](int i, int l, float sum) { strip(i, l) = fmaf(scale, sum, strip(i, l)); });
}

}  // namespace sma::cuda
