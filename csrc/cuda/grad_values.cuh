// Backward, if A has more rows than a block of pool_backward holds: the gradient dX of the values from all rows, by a
// launch of its own, of which a block handles up to 64 positions of one sample and a slice of channels.
#pragma once

#include "pool_backward.cuh"

namespace sma::cuda {

constexpr int kGradValuesStages = 2;

template <class T, class Mma>
__global__ void __launch_bounds__(kStreamThreads, 4) grad_values(const __grid_constant__ PoolBackward<T> p) {
  constexpr int kRows = 16 * kMaxRowTiles<T>, kStages = kGradValuesStages;
  const Sizes& n = p.n;
  auto index = static_cast<unsigned>(block());
  const int position = p.position_tiles.take(index) * p.tile_positions;
  const int first_channel = p.slices.take(index) * p.slice_tiles * kTile;
  const int64_t sample = index;
  const int positions = min(p.tile_positions, n.positions - position);
  const int channels = min(p.slice_tiles * kTile, n.values - first_channel);

  Arrays<true> arrays(p.placement, nullptr);
  const Ring<T, kStages> grads{arrays.template tile<T>(kStages * kRows * kPitch<T>), kRows * kPitch<T>};
  const Ring<T, kStages> attention{arrays.template tile<T>(kStages * kRows * kPitch<T>), kRows * kPitch<T>};
  T* out = arrays.template tile<T>(kTileElements<T>);

  int next_channel = 0, next_row = 0;  // of the tiles whose copy starts next
  const auto start = [&](int i) {
    if (next_channel < channels) {
      p.template load_grads<kRows>(sample, next_row, first_channel + next_channel, min(kTile, channels - next_channel),
                                   grads[i]);
      p.template load_attention<kRows>(sample, next_row, position, positions, attention[i]);
      next_row += kRows;
      if (next_row >= n.rows) {
        next_row = 0;
        next_channel += kTile;
      }
    }
    commit_copies();
  };

  start(0);
  int i = 0;
  for (int channel = 0; channel < channels; channel += kTile) {
    float sums[kTile / 16][2][4] = {};
    for (int row = 0; row < n.rows; row += kRows, ++i) {
      RowScale<T, kRows> row_scale(p, sample, row);
      row_scale.divide(p.attention_scale);
      wait_copies<0>();
      sync_block();
      start(i + 1);  // into the buffers of the previous step
      row_scale.apply(attention[i]);
      sync_block();
      multiply_grad_values<Mma, kRows>(p.grad_values, grads[i], attention[i], sums);
    }
    put_rows(p.grad_values, positions, sums, 1.0f / p.attention_scale, out);
    sync_block();
    clear_invalid<kStreamThreads>(p.grad_values, p.mask, sample * n.positions + position, positions, out);
    store_map<kStreamThreads>(p.grad_values, sample, first_channel + channel, min(kTile, channels - channel), position,
                              positions, out);
  }
}

}  // namespace sma::cuda
