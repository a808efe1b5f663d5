// Matrix products of a warp. Three kinds of multiplication share one accumulator layout (primitives.cuh).
//
// A product consists of 16x16 tiles of the result. An mma_* loads fragments of a 16 x kDepth and a kDepth x 16 operand
// and multiplies them; operands are functions of (row, column), or tiles in shared memory.
#pragma once

#include <type_traits>

#include "math.cuh"

namespace sma::cuda {

// Coordinates, in a 16x16 tile, of accumulator `e` of column half `half` in this lane.
__device__ __forceinline__ int accumulator_row(int e) { return lane() / 4 + 8 * (e / 2); }
__device__ __forceinline__ int accumulator_column(int half, int e) { return 8 * half + 2 * (lane() % 4) + e % 2; }

// float32 on the FP32 units, with IEEE accuracy.
struct mma_ieee {
  static constexpr int kDepth = 4;
  struct Left {
    float value[2][kDepth];
  };
  struct Right {
    float value[kDepth][2][2];
  };

  template <class Operand>
  static __device__ __forceinline__ Left left(const Operand& operand, int row, int k) {
    Left fragment;
    for (int h = 0; h < 2; ++h) {
      for (int q = 0; q < kDepth; ++q) fragment.value[h][q] = operand(row + accumulator_row(2 * h), k + q);
    }
    return fragment;
  }

  template <class Operand>
  static __device__ __forceinline__ Right right(const Operand& operand, int k, int column) {
    Right fragment;
    for (int q = 0; q < kDepth; ++q) {
      for (int half = 0; half < 2; ++half) {
        for (int e = 0; e < 2; ++e) fragment.value[q][half][e] = operand(k + q, column + accumulator_column(half, e));
      }
    }
    return fragment;
  }

  static __device__ __forceinline__ void multiply(float (&sum)[2][4], const Left& a, const Right& b) {
    for (int q = 0; q < kDepth; ++q) {
      for (int half = 0; half < 2; ++half) {
        for (int e = 0; e < 4; ++e) {
          sum[half][e] = fmaf(a.value[e / 2][q], b.value[q][half][e % 2], sum[half][e]);
        }
      }
    }
  }
};

// float32 operands on the tensor cores, rounded to tf32.
struct mma_tf32 {
  static constexpr int kDepth = 8;
  struct Left {
    float value[4];
  };
  struct Right {
    float value[2][2];
  };

  template <class Operand>
  static __device__ __forceinline__ Left left(const Operand& operand, int row, int k) {
    Left fragment;
    for (int e = 0; e < 4; ++e) {
      fragment.value[e] = round_tf32(operand(row + lane() / 4 + 8 * (e % 2), k + lane() % 4 + 4 * (e / 2)));
    }
    return fragment;
  }

  template <class Operand>
  static __device__ __forceinline__ Right right(const Operand& operand, int k, int column) {
    Right fragment;
    for (int half = 0; half < 2; ++half) {
      for (int e = 0; e < 2; ++e) {
        fragment.value[half][e] = round_tf32(operand(k + lane() % 4 + 4 * e, column + 8 * half + lane() / 4));
      }
    }
    return fragment;
  }

  static __device__ __forceinline__ void multiply(float (&sum)[2][4], const Left& a, const Right& b) {
    for (int half = 0; half < 2; ++half) {
      multiply_add_tf32(sum[half], a.value, b.value[half][0], b.value[half][1]);
    }
  }
};

// 16-bit tiles in shared memory on the tensor cores, float32 sums.
template <class T>
struct mma_16bit {
  static constexpr int kDepth = 16;
  struct Left {
    uint32_t value[4];
  };
  struct Right {
    uint32_t value[4];
  };

  static __device__ __forceinline__ void multiply(float (&sum)[2][4], const Left& a, const Right& b) {
    multiply_add(sum[0], a.value, b.value[0], b.value[1], T());
    multiply_add(sum[1], a.value, b.value[2], b.value[3], T());
  }
};

// A matrix in shared memory: element (i, j) at i*pitch + j, or at j*pitch + i if `transposed`.
template <class T>
struct Tile {
  const T* data;
  int pitch;
  bool transposed;

  __device__ __forceinline__ float operator()(int i, int j) const {
    return to_acc(transposed ? data[j * pitch + i] : data[i * pitch + j]);
  }
};

template <class Mma, class T>
__device__ __forceinline__ typename Mma::Left tile_left(const Tile<T>& tile, int row, int k) {
  if constexpr (std::is_same_v<Mma, mma_16bit<T>>) {
    typename Mma::Left fragment;
    const int i = lane() % 8, upper = lane() / 8 % 2, last = lane() / 16;
    if (tile.transposed) {
      load_matrices_transposed(fragment.value, tile.data + (k + i + 8 * last) * tile.pitch + row + 8 * upper);
    } else {
      load_matrices(fragment.value, tile.data + (row + i + 8 * upper) * tile.pitch + k + 8 * last);
    }
    return fragment;
  } else {
    return Mma::left(tile, row, k);
  }
}

template <class Mma, class T>
__device__ __forceinline__ typename Mma::Right tile_right(const Tile<T>& tile, int k, int column) {
  if constexpr (std::is_same_v<Mma, mma_16bit<T>>) {
    typename Mma::Right fragment;
    const int i = lane() % 8, upper = lane() / 8 % 2, last = lane() / 16;
    if (tile.transposed) {
      load_matrices(fragment.value, tile.data + (column + i + 8 * last) * tile.pitch + k + 8 * upper);
    } else {
      load_matrices_transposed(fragment.value, tile.data + (k + i + 8 * upper) * tile.pitch + column + 8 * last);
    }
    return fragment;
  } else {
    return Mma::right(tile, k, column);
  }
}

// sums[r] += rows 16r..16r+16 of `left` times columns column..column+16 of `right`, by a warp.
template <class Mma, int kDepth, int kRowTiles, class T>
__device__ __forceinline__ void multiply_column(float (&sums)[kRowTiles][2][4], const Tile<T>& left,
                                                const Tile<T>& right, int column) {
#pragma unroll(Mma::kDepth / 4)  // no more, or registers are spilled
  for (int k = 0; k < kDepth; k += Mma::kDepth) {
    const auto fragment = tile_right<Mma>(right, k, column);
    for (int r = 0; r < kRowTiles; ++r) Mma::multiply(sums[r], tile_left<Mma>(left, 16 * r, k), fragment);
  }
}

// sums[c] += rows row..row+16 of `left` times columns 16c..16c+16 of `right`, by a warp.
template <class Mma, int kDepth, int kColumnTiles, class T>
__device__ __forceinline__ void multiply_row(float (&sums)[kColumnTiles][2][4], const Tile<T>& left,
                                             const Tile<T>& right, int row) {
#pragma unroll(Mma::kDepth / 4)  // no more, or registers are spilled
  for (int k = 0; k < kDepth; k += Mma::kDepth) {
    const auto fragment = tile_left<Mma>(left, row, k);
    for (int c = 0; c < kColumnTiles; ++c) Mma::multiply(sums[c], fragment, tile_right<Mma>(right, k, 16 * c));
  }
}

}  // namespace sma::cuda
