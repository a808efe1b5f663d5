// Step 6, second launch of a forward: averages the values, weighted by the rows of A.
//
// A block handles a slice of channels of one sample and up to 16*kRowTiles rows of A. It streams double-buffered 64x64
// tiles of the values; each warp handles 16 of a tile's channels.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

constexpr int kStreamThreads = 128;

template <class T>
struct Pool {
  Sizes n;
  Map<const T> values;
  Rows<const T> attention;  // [B,A,L]
  const float* attention_sum;
  T* pooled;
  int slices, slice_tiles, row_blocks;  // a slice has slice_tiles*64 channels
  Placement placement;
};

template <class T, class Mma, int kRowTiles>
__global__ void __launch_bounds__(kStreamThreads, kRowTiles == 4 ? 3 : 4) pool(const __grid_constant__ Pool<T> p) {
  const Sizes& n = p.n;
  const int slice = static_cast<int>(block() % p.slices);
  const int row_block = static_cast<int>(block() / p.slices % p.row_blocks);
  const int64_t sample = block() / p.slices / p.row_blocks;
  const int first_row = row_block * 16 * kRowTiles;
  const int rows = min(16 * kRowTiles, n.rows - first_row);
  const int first_channel = slice * p.slice_tiles * kTile;
  const int channels = min(p.slice_tiles * kTile, n.values - first_channel);
  const int steps = (n.positions + kTile - 1) / kTile;
  const int count = (channels + kTile - 1) / kTile * steps;

  Arrays<true> arrays(p.placement, nullptr);
  MapStream<T> stream{};
  stream.buffers.even = arrays.template tile<T>(kTileElements<T>);
  stream.buffers.odd = arrays.template tile<T>(kTileElements<T>);
  Buffers<T> attention;
  attention.even = arrays.template tile<T>(16 * kRowTiles * kPitch<T>);
  attention.odd = arrays.template tile<T>(16 * kRowTiles * kPitch<T>);
  if (p.values.flat) stream.tile = arrays.template tile<T>(kTileElements<T>);

  // If one tile of A holds all positions, it serves every step.
  const auto attention_buffer = [&](int i) { return steps == 1 ? 0 : i; };
  const auto start = [&](int i) {
    if (i < count) {
      const int channel = i / steps * kTile, position = i % steps * kTile;
      const int positions = min(kTile, n.positions - position);
      load_map(stream.buffers[i], p.values, sample, first_channel + channel, min(kTile, channels - channel), position,
               positions);
      if (steps > 1 || i == 0) {
        const T* from = p.attention.data + sample * p.attention.batch_stride + first_row * p.attention.row_stride;
        load_tile(attention[attention_buffer(i)], 16 * kRowTiles, from + position, p.attention.row_stride,
                  p.attention.vector_bytes, rows, positions);
      }
    }
    commit_copies();
  };

  float total[kRowTiles][2][4] = {};
  start(0);
  for (int i = 0; i < count; ++i) {
    const int channel = i / steps * kTile, position = i % steps * kTile;
    start(i + 1);
    wait_copies<1>();
    const T* data = stream.ready_tile(p.values, i, min(kTile, channels - channel), min(kTile, n.positions - position));
    const Tile<T> x{data, kPitch<T>, !p.values.channels_last};
    const Tile<T> a{attention[attention_buffer(i)], kPitch<T>, false};
    float sum[kRowTiles][2][4] = {};
#pragma unroll 2
    for (int k = 0; k < kTile; k += Mma::kDepth) {
      const auto right = tile_right<Mma>(x, k, 16 * warp());
      for (int r = 0; r < kRowTiles; ++r) Mma::multiply(sum[r], tile_left<Mma>(a, 16 * r, k), right);
    }
    for (int r = 0; r < kRowTiles; ++r) {
      for (int half = 0; half < 2; ++half) {
        for (int e = 0; e < 4; ++e) total[r][half][e] += sum[r][half][e];
      }
    }
    if (i % steps == steps - 1) {
      for (int r = 0; r < kRowTiles; ++r) {
        for (int half = 0; half < 2; ++half) {
          for (int e = 0; e < 4; ++e) {
            const int row = 16 * r + accumulator_row(e);
            const int c = channel + 16 * warp() + accumulator_column(half, e);
            if (row < rows && c < channels) {
              const int64_t at = sample * n.rows + first_row + row;
              const float clamped_sum = clamp_min(p.attention_sum[at], static_cast<float>(kSumFloor));
              p.pooled[at * n.values + first_channel + c] = from_acc<T>(total[r][half][e] / clamped_sum);
            }
            total[r][half][e] = 0;
          }
        }
      }
    }
    sync_block();
  }
}

}  // namespace sma::cuda
