// Step 6, second launch of a forward: averages the values, weighted by the rows of A.
//
// A block handles a slice of channels of one sample, up to 16*kRowTiles rows of A and all positions or, if there are
// too few blocks, a chunk of them. Tiles of 64 channels and up to 64 positions stream through a ring of buffers; each
// warp handles 16 of a tile's channels.
#pragma once

#include "../sma_attention.h"
#include "axis.cuh"
#include "mma.cuh"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

constexpr int kStreamThreads = 128;

// The most 16-row tiles of A per block of the streaming kernels: in float32, four would exceed the 99 KB of shared
// memory of the smaller GPUs.
template <class T>
constexpr int kMaxRowTiles = sizeof(T) == 4 ? 2 : 4;

// Three tiles in flight in 16 bits, one in float32, let four blocks share the memory of an SM.
template <class T>
constexpr int kPoolStages = sizeof(T) == 4 ? 2 : 4;

template <class T>
struct Pool {
  Sizes n;
  Map<const T> values;
  Rows<const T> attention;  // [B,A,L]
  const float* attention_sum;
  const bool* mask;  // [B,L], null if all positions are valid
  T* pooled;
  float* parts;  // [chunks,B,A,C], instead of `pooled` if there are several chunks, else null
  int64_t batch;
  Axis slices, row_blocks, chunks;
  int slice_tiles;  // a slice has slice_tiles*64 channels
  int tile_positions, chunk_positions;
  Placement placement;
};

// Writes a warp's part of a tile's channels of `pooled`: sums[r][half] times inverse_sums[r][h] of row 16r + 8h +
// lane/4.
template <int kRowTiles, class T>
__device__ __forceinline__ void store_pooled(T* pooled, int64_t row_stride, int rows, int channels,
                                             const float (&sums)[kRowTiles][2][4],
                                             const float (&inverse_sums)[kRowTiles][2]) {
  for (int r = 0; r < kRowTiles; ++r) {
    for (int h = 0; h < 2; ++h) {
      const int row = 16 * r + accumulator_row(2 * h);
      if (row >= rows) continue;
      for (int half = 0; half < 2; ++half) {
        for (int e = 0; e < 2; ++e) {
          const int c = 16 * warp() + accumulator_column(half, e);
          if (c < channels) pooled[row * row_stride + c] = from_acc<T>(sums[r][half][2 * h + e] * inverse_sums[r][h]);
        }
      }
    }
  }
}

template <class T, class Mma, int kRowTiles>
__global__ void __launch_bounds__(kStreamThreads, kRowTiles == kMaxRowTiles<T> ? 3 : 4)
    pool(const __grid_constant__ Pool<T> p) {
  constexpr int kRows = 16 * kRowTiles, kStages = kPoolStages<T>;
  const Sizes& n = p.n;
  auto index = static_cast<unsigned>(block());
  const int first_channel = p.slices.take(index) * p.slice_tiles * kTile;
  const int first_row = p.row_blocks.take(index) * kRows;
  const int chunk = p.chunks.take(index), first_position = chunk * p.chunk_positions;
  const int end_position = min(first_position + p.chunk_positions, n.positions);
  const int64_t sample = index;
  const int rows = min(kRows, n.rows - first_row);
  const int channels = min(p.slice_tiles * kTile, n.values - first_channel);
  const bool one_tile = n.positions <= p.tile_positions;

  Arrays<true> arrays(p.placement, nullptr);
  const Ring<T, kStages> values{arrays.template tile<T>(kStages * kTileElements<T>), kTileElements<T>};
  const Ring<T, kStages> attention{arrays.template tile<T>(kStages * kRows * kPitch<T>), kRows * kPitch<T>};
  T* spread = p.values.flat ? arrays.template tile<T>(kTileElements<T>) : nullptr;

  // If one tile of A holds all positions, it serves every step.
  const auto attention_tile = [&](int i) { return attention[one_tile ? 0 : i]; };
  int next_channel = 0, next_position = first_position;  // of the tile whose copy starts next
  const auto start = [&](int i) {
    if (next_channel < channels) {
      const int positions = min(p.tile_positions, end_position - next_position);
      load_map<kStreamThreads>(values[i], p.values, sample, first_channel + next_channel,
                               min(kTile, channels - next_channel), next_position, positions);
      if (!one_tile || i == 0) {
        const T* from = p.attention.data + sample * p.attention.batch_stride + first_row * p.attention.row_stride;
        load_tile<kStreamThreads>(attention_tile(i), kRows, from + next_position, p.attention.row_stride,
                                  p.attention.vector_bytes, rows, positions);
      }
      next_position += p.tile_positions;
      if (next_position >= end_position) {
        next_position = first_position;
        next_channel += kTile;
      }
    }
    commit_copies();
  };

  float inverse_sums[kRowTiles][2];  // read before the tiles, and divided while they arrive
  for (int r = 0; r < kRowTiles; ++r) {
    for (int h = 0; h < 2; ++h) {
      const int row = 16 * r + accumulator_row(2 * h);
      inverse_sums[r][h] = row < rows ? p.attention_sum[sample * n.rows + first_row + row] : 1.0f;
    }
  }
#pragma unroll 1
  for (int i = 0; i < kStages - 1; ++i) start(i);
  for (auto& row : inverse_sums) {
    for (float& sum : row) sum = 1.0f / clamp_min(sum, static_cast<float>(kSumFloor));
  }
  int i = 0;
  for (int channel = 0; channel < channels; channel += kTile) {
    float total[kRowTiles][2][4] = {};
    for (int position = first_position; position < end_position; position += p.tile_positions, ++i) {
      wait_copies<kStages - 2>();
      sync_block();
      start(i + kStages - 1);  // into the buffer of the previous step
      clear_invalid<kStreamThreads>(p.values, p.mask, sample * n.positions + position,
                                    min(p.tile_positions, end_position - position), values[i]);
      const T* x = values[i];
      if (p.values.flat) {
        unflatten<kStreamThreads>(spread, x, n.positions);
        sync_block();
        x = spread;
      }
      const Tile<T> a{attention_tile(i), kPitch<T>, false};
      float sum[kRowTiles][2][4] = {};
      if (p.values.channels_last) {
        multiply_column<Mma, kTile>(sum, a, Tile<T>{x, kPitch<T>, false}, 16 * warp());
      } else {
        multiply_column<Mma, kTile>(sum, a, Tile<T>{x, kPitch<T>, true}, 16 * warp());
      }
      for (int r = 0; r < kRowTiles; ++r) {
        for (int half = 0; half < 2; ++half) {
          for (int e = 0; e < 4; ++e) total[r][half][e] += sum[r][half][e];
        }
      }
    }
    const int64_t first_element = (sample * n.rows + first_row) * n.values + first_channel + channel;
    if (p.parts) {
      float* part = p.parts + chunk * p.batch * n.rows * n.values + first_element;
      store_pooled(part, n.values, rows, channels - channel, total, inverse_sums);
    } else {
      store_pooled(p.pooled + first_element, n.values, rows, channels - channel, total, inverse_sums);
    }
  }
}

}  // namespace sma::cuda
