// Backward, first launch: everything that reads the values. With f = pooled and s = max(sum of A, floor),
//   dX[c,l] = sum over rows a of df[a,c] A[a,l] / s[a]
//   partial[a,l] = sum over the channels of a slice of df[a,c] X[c,l]
// A block handles up to 64 positions of one sample, a slice of channels and up to 16*kRowTiles rows of A, and reads
// each value once. If A has more rows, there is a block for each part of them, and grad_values.cuh computes dX.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "pool.cuh"

namespace sma::cuda {

// Two tiles in flight in 16 bits, one in float32, let four blocks share the memory of an SM.
template <class T>
constexpr int kPoolBackwardStages = sizeof(T) == 4 ? 2 : 3;

template <class T>
struct PoolBackward {
  Sizes n;
  Map<const T> values;
  Rows<const T> attention;    // [B,A,L]
  Rows<const T> grad_pooled;  // [B,A,C]
  const float* attention_sum;
  float attention_scale;  // power of two that scales A / s in T
  const bool* mask;       // [B,L], null if all positions are valid
  Map<T> grad_values;     // data null if not needed
  float* partial;         // [B,slices,A,L], null if not needed
  Axis position_tiles, slices, row_blocks;
  int tile_positions, slice_tiles;
  Placement placement;

  // Starts the copy of rows of A at a tile's positions.
  template <int kRows>
  __device__ __forceinline__ void load_attention(int64_t sample, int first_row, int position, int positions,
                                                 T* tile) const {
    const T* from = attention.data + sample * attention.batch_stride + first_row * attention.row_stride + position;
    load_tile<kStreamThreads>(tile, kRows, from, attention.row_stride, attention.vector_bytes, n.rows - first_row,
                              positions);
  }

  // Starts the copy of rows of the gradient of `pooled` at a tile's channels.
  template <int kRows>
  __device__ __forceinline__ void load_grads(int64_t sample, int first_row, int channel, int channels, T* tile) const {
    const T* from = grad_pooled.data + sample * grad_pooled.batch_stride + first_row * grad_pooled.row_stride + channel;
    load_tile<kStreamThreads>(tile, kRows, from, grad_pooled.row_stride, grad_pooled.vector_bytes, n.rows - first_row,
                              channels);
  }
};

// Divides a tile of rows of A by their sums: a thread scales 16 bytes at a time. The factors are computed while the
// tile is copied.
template <class T, int kRows>
struct RowScale {
  static constexpr int kElements = 16 / static_cast<int>(sizeof(T)), kVectors = kTile / kElements;
  static constexpr int kCount = kRows * kVectors / kStreamThreads;

  float factors[kCount];

  static __device__ __forceinline__ int row(int i) { return (thread() + i * kStreamThreads) / kVectors; }

  __device__ __forceinline__ RowScale(const PoolBackward<T>& p, int64_t sample, int first_row) {
    const float* from = p.attention_sum + sample * p.n.rows + first_row;
    for (int i = 0; i < kCount; ++i) factors[i] = row(i) < p.n.rows - first_row ? from[row(i)] : 1.0f;
  }

  __device__ __forceinline__ void divide(float scale) {
    for (float& sum : factors) sum = scale / clamp_min(sum, static_cast<float>(kSumFloor));
  }

  __device__ __forceinline__ void apply(T* tile) const {
    struct alignas(16) Vector {
      T elements[kElements];
    };
    for (int i = 0; i < kCount; ++i) {
      auto* target = reinterpret_cast<Vector*>(tile + row(i) * kPitch<T> + thread() % kVectors * kElements);
      Vector vector = *target;
      for (T& element : vector.elements) element = from_acc<T>(to_acc(element) * factors[i]);
      *target = vector;
    }
  }
};

// Adds to `sums` a warp's 16 rows of a tile of dX, laid out like `map`, which makes a thread's pairs contiguous.
template <class Mma, int kRows, class T>
__device__ __forceinline__ void multiply_grad_values(const Map<T>& map, const T* grads, const T* attention,
                                                     float (&sums)[kTile / 16][2][4]) {
  const T* left = map.channels_last ? attention : grads;
  const T* right = map.channels_last ? grads : attention;
  multiply_row<Mma, kRows>(sums, Tile<T>{left, kPitch<T>, true}, Tile<T>{right, kPitch<T>, false}, 16 * warp());
}

// Writes these rows to the tile.
template <class T>
__device__ __forceinline__ void put_rows(const Map<T>& map, int positions, const float (&sums)[kTile / 16][2][4],
                                         float scale, T* tile) {
  struct alignas(2 * sizeof(T)) Pair {
    T first, second;
  };
  for (int c = 0; c < kTile / 16; ++c) {
    for (int half = 0; half < 2; ++half) {
      for (int e = 0; e < 4; e += 2) {
        const int row = 16 * warp() + accumulator_row(e), column = 16 * c + accumulator_column(half, 0);
        const T first = from_acc<T>(sums[c][half][e] * scale), second = from_acc<T>(sums[c][half][e + 1] * scale);
        if (!map.flat) {
          *reinterpret_cast<Pair*>(tile + row * kPitch<T> + column) = {first, second};
        } else {
          if (column < positions) tile[row * positions + column] = first;
          if (column + 1 < positions) tile[row * positions + column + 1] = second;
        }
      }
    }
  }
}

// Writes a warp's 16 positions of a block's part of `partial`.
template <int kRowTiles>
__device__ __forceinline__ void store_partial(float* partial, int64_t row_stride, int rows, int positions,
                                              const float (&sums)[kRowTiles][2][4]) {
  for (int r = 0; r < kRowTiles; ++r) {
    for (int half = 0; half < 2; ++half) {
      for (int e = 0; e < 4; ++e) {
        const int row = 16 * r + accumulator_row(e), l = 16 * warp() + accumulator_column(half, e);
        if (row < rows && l < positions) partial[row * row_stride + l] = sums[r][half][e];
      }
    }
  }
}

template <class T, class Mma, int kRowTiles>
__global__ void __launch_bounds__(kStreamThreads, sizeof(T) == 4 || kRowTiles == kMaxRowTiles<T> ? 3 : 4)
    pool_backward(const __grid_constant__ PoolBackward<T> p) {
  constexpr int kRows = 16 * kRowTiles, kStages = kPoolBackwardStages<T>;
  const Sizes& n = p.n;
  auto index = static_cast<unsigned>(block());
  const int position = p.position_tiles.take(index) * p.tile_positions;
  const int slice = p.slices.take(index);
  const int first_row = p.row_blocks.take(index) * kRows;
  const int64_t sample = index;
  const int positions = min(p.tile_positions, n.positions - position);
  const int first_channel = slice * p.slice_tiles * kTile;
  const int channels = min(p.slice_tiles * kTile, n.values - first_channel);
  const bool computes_grad_values = p.grad_values.rows.data && p.row_blocks.size == 1;

  Arrays<true> arrays(p.placement, nullptr);
  const Ring<T, kStages> values{arrays.template tile<T>(kStages * kTileElements<T>), kTileElements<T>};
  const Ring<T, kStages> grads{arrays.template tile<T>(kStages * kRows * kPitch<T>), kRows * kPitch<T>};
  T* attention = arrays.template tile<T>(kRows * kPitch<T>);
  T* spread = p.values.flat ? arrays.template tile<T>(kTileElements<T>) : nullptr;

  const auto start = [&](int i) {
    const int channel = i * kTile, tile_channels = min(kTile, channels - channel);
    if (channel < channels) {
      if (p.partial) {
        load_map<kStreamThreads>(values[i], p.values, sample, first_channel + channel, tile_channels, position,
                                 positions);
      }
      p.template load_grads<kRows>(sample, first_row, first_channel + channel, tile_channels, grads[i]);
      if (computes_grad_values && i == 0) {
        p.template load_attention<kRows>(sample, first_row, position, positions, attention);
      }
    }
    commit_copies();
  };

  RowScale<T, kRows> row_scale(p, sample, first_row);
#pragma unroll 1
  for (int i = 0; i < kStages - 1; ++i) start(i);
  if (computes_grad_values) {
    row_scale.divide(p.attention_scale);
    wait_copies<kStages - 2>();
    sync_block();
    row_scale.apply(attention);
  }
  float sums[kRowTiles][2][4] = {};
  for (int i = 0; i * kTile < channels; ++i) {
    const int channel = i * kTile;
    wait_copies<kStages - 2>();
    sync_block();
    start(i + kStages - 1);  // into the buffers of the previous step
    float gradient[kTile / 16][2][4] = {};
    if (computes_grad_values) multiply_grad_values<Mma, kRows>(p.grad_values, grads[i], attention, gradient);
    if (p.partial) {
      const T* x = values[i];
      if (p.values.flat) {
        unflatten<kStreamThreads>(spread, x, positions);
        sync_block();
        x = spread;
      }
      const Tile<T> g{grads[i], kPitch<T>, false};
      if (p.values.channels_last) {
        multiply_column<Mma, kTile>(sums, g, Tile<T>{x, kPitch<T>, true}, 16 * warp());
      } else {
        multiply_column<Mma, kTile>(sums, g, Tile<T>{x, kPitch<T>, false}, 16 * warp());
      }
    }
    if (!computes_grad_values) continue;
    sync_block();  // all warps have read the values, whose buffer takes their gradient
    put_rows(p.grad_values, positions, gradient, 1.0f / p.attention_scale, values[i]);
    sync_block();
    clear_invalid<kStreamThreads>(p.grad_values, p.mask, sample * n.positions + position, positions, values[i]);
    store_map<kStreamThreads>(p.grad_values, sample, first_channel + channel, min(kTile, channels - channel), position,
                              positions, values[i]);
  }
  if (p.partial) {
    float* partial = p.partial + ((sample * p.slices.size + slice) * n.rows + first_row) * n.positions + position;
    store_partial(partial, n.positions, n.rows - first_row, positions, sums);
  }
}

}  // namespace sma::cuda
