// Backward, first launch: everything that reads the values. With f = pooled and s = max(sum of A, floor),
//   dX[c,l] = sum over rows a of df[a,c] A[a,l] / s[a]
//   partial[a,l] = sum over the channels of a slice of df[a,c] X[c,l]
// A block handles 64 positions of one sample and a slice of channels, and reads each value once. If A has more rows
// than fit in a block, one block per 16*kRowTiles rows computes partial sums, and one more block computes dX from all
// rows.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "pool.cuh"

namespace sma::cuda {

template <class T>
struct PoolBackward {
  Sizes n;
  Map<const T> values;
  Rows<const T> attention;    // [B,A,L]
  Rows<const T> grad_pooled;  // [B,A,C]
  const float* attention_sum;
  Map<T> grad_values;  // data null if not needed
  float* partial;      // [B,slices,A,L], null if not needed
  int slices, slice_tiles, row_blocks, roles;
  Placement placement;
};

// Power of two that scales A / s in T, to keep small maps of many positions above the subnormals of float16.
__host__ __device__ inline float attention_scale(int positions) {
  float scale = 1;
  while (scale < 16384.0f && scale < static_cast<float>(positions)) scale *= 2;
  return scale;
}

template <class T>
__device__ __forceinline__ void load_scaled_attention(const PoolBackward<T>& p, int64_t sample, int first_row, int rows,
                                                      int tile_rows, int position, int positions, T* tile) {
  const float scale = attention_scale(p.n.positions);
  for (int i = thread(); i < tile_rows * kTile; i += threads()) {
    const int row = i / kTile, l = i % kTile;
    float value = 0;
    if (row < rows && l < positions) {
      const float sum = p.attention_sum[sample * p.n.rows + first_row + row];
      const T* a = p.attention.data + sample * p.attention.batch_stride;
      value = to_acc(a[(first_row + row) * p.attention.row_stride + position + l]) *
              (scale / clamp_min(sum, static_cast<float>(kSumFloor)));
    }
    tile[row * kPitch<T> + l] = from_acc<T>(value);
  }
}

template <class T, class Mma, int kRowTiles>
__global__ void __launch_bounds__(kStreamThreads, 2) pool_backward(const __grid_constant__ PoolBackward<T> p) {
  constexpr int kRows = 16 * kRowTiles;
  const Sizes& n = p.n;
  const int steps = (n.positions + kTile - 1) / kTile;
  int64_t index = block();
  const int position = static_cast<int>(index % steps) * kTile;
  index /= steps;
  const int slice = static_cast<int>(index % p.slices);
  index /= p.slices;
  const int role = static_cast<int>(index % p.roles);
  const int64_t sample = index / p.roles;
  const int positions = min(kTile, n.positions - position);
  const int first_channel = slice * p.slice_tiles * kTile;
  const int channels = min(p.slice_tiles * kTile, n.values - first_channel);
  const int count = (channels + kTile - 1) / kTile;

  const bool computes_partial = p.partial && role < p.row_blocks;
  const bool computes_grad_values = p.grad_values.rows.data && role == p.roles - 1;
  const bool single_row_block = p.row_blocks == 1;
  const int first_row = single_row_block || !computes_partial ? 0 : role * kRows;
  const int rows = min(kRows, n.rows - first_row);

  Arrays<true> arrays(p.placement, nullptr);
  MapStream<T> stream{};
  stream.buffers.even = arrays.template tile<T>(kTileElements<T>);
  stream.buffers.odd = arrays.template tile<T>(kTileElements<T>);
  Buffers<T> grads;
  grads.even = arrays.template tile<T>(kRows * kPitch<T>);
  grads.odd = arrays.template tile<T>(kRows * kPitch<T>);
  T* attention = arrays.template tile<T>(kRows * kPitch<T>);
  if (p.values.flat) stream.tile = arrays.template tile<T>(kTileElements<T>);

  const auto load_grads = [&](T* tile, int from_row, int row_count, int channel) {
    const T* from = p.grad_pooled.data + sample * p.grad_pooled.batch_stride + from_row * p.grad_pooled.row_stride;
    load_tile(tile, kRows, from + first_channel + channel, p.grad_pooled.row_stride, p.grad_pooled.vector_bytes,
              row_count, min(kTile, channels - channel));
  };
  const auto start = [&](int i) {
    if (i < count) {
      const int channel = i * kTile;
      if (computes_partial) {
        load_map(stream.buffers[i], p.values, sample, first_channel + channel, min(kTile, channels - channel), position,
                 positions);
      }
      load_grads(grads[i], first_row, rows, channel);
    }
    commit_copies();
  };

  start(0);
  if (computes_grad_values && single_row_block)
    load_scaled_attention(p, sample, 0, rows, kRows, position, positions, attention);
  float partial[kRowTiles][2][4] = {};
  for (int i = 0; i < count; ++i) {
    const int channel = i * kTile, tile_channels = min(kTile, channels - channel);
    start(i + 1);
    wait_copies<1>();
    const T* data = stream.buffers[i];
    if (computes_partial) {
      data = stream.ready_tile(p.values, i, tile_channels, positions);
      const Tile<T> x{data, kPitch<T>, p.values.channels_last};
      const Tile<T> g{grads[i], kPitch<T>, false};
#pragma unroll 2
      for (int k = 0; k < kTile; k += Mma::kDepth) {
        const auto right = tile_right<Mma>(x, k, 16 * warp());
        for (int r = 0; r < kRowTiles; ++r) Mma::multiply(partial[r], tile_left<Mma>(g, 16 * r, k), right);
      }
    }
    sync_block();
    if (computes_grad_values) {
      float sum[kTile / 16][2][4] = {};
      for (int b = 0; b < p.row_blocks; ++b) {
        if (!single_row_block) {
          const int from_row = b * kRows, row_count = min(kRows, n.rows - from_row);
          sync_block();
          load_grads(grads[i], from_row, row_count, channel);
          commit_copies();
          load_scaled_attention(p, sample, from_row, row_count, kRows, position, positions, attention);
          wait_copies<0>();
          sync_block();
        }
        const Tile<T> g{grads[i], kPitch<T>, true};
        const Tile<T> a{attention, kPitch<T>, false};
        for (int k = 0; k < kRows; k += Mma::kDepth) {
          const auto left = tile_left<Mma>(g, 16 * warp(), k);
          for (int t = 0; t < kTile / 16; ++t) Mma::multiply(sum[t], left, tile_right<Mma>(a, k, 16 * t));
        }
      }
      // The buffer of the values is free: they have been read, or spread over another tile.
      T* out = stream.buffers[i];
      const float scale = 1.0f / attention_scale(n.positions);
      for (int t = 0; t < kTile / 16; ++t) {
        for (int half = 0; half < 2; ++half) {
          for (int e = 0; e < 4; ++e) {
            const int c = 16 * warp() + accumulator_row(e), l = 16 * t + accumulator_column(half, e);
            if (c < tile_channels && l < positions) {
              out[tile_index(p.grad_values, c, l, positions)] = from_acc<T>(sum[t][half][e] * scale);
            }
          }
        }
      }
      sync_block();
      store_map(p.grad_values, sample, first_channel + channel, tile_channels, position, positions, out);
      sync_block();
    }
  }
  if (computes_partial) {
    const int64_t at = ((sample * p.slices + slice) * n.rows + first_row) * n.positions + position;
    for (int r = 0; r < kRowTiles; ++r) {
      for (int half = 0; half < 2; ++half) {
        for (int e = 0; e < 4; ++e) {
          const int row = 16 * r + accumulator_row(e), l = 16 * warp() + accumulator_column(half, e);
          if (row < rows && l < positions) {
            p.partial[at + static_cast<int64_t>(row) * n.positions + l] = partial[r][half][e];
          }
        }
      }
    }
  }
}

}  // namespace sma::cuda
