// Attention pooling: f = A X^T / max(sum A, floor), and its gradients, for one sample and a range of channels.
#pragma once

#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename W>
SMA_INLINE W inverse_sum(W sum) {
  return W(1) / (sum < W(kSumFloor) ? W(kSumFloor) : sum);
}

template <typename W>
constexpr int64_t pool_columns = 3 * lanes<W>;  // channels of one strip of X: a register block of `multiply`
constexpr int64_t pool_positions = 256;         // positions of one strip: it stays in the first cache

template <typename W>
struct PoolScratch {
  W* strip;  // [pool_positions, pool_columns]
  W* sums;   // [rows, pool_columns]

  PoolScratch(Arena& arena, int64_t rows)
      : strip(arena.take<W>(pool_positions * pool_columns<W>)), sums(arena.take<W>(rows * pool_columns<W>)) {}
};

// pooled [rows, C], channels first..last, from attention [rows, L] and attention_sum [rows].
template <typename T, typename W>
inline void attention_pool(const Shape& shape, const SampleMap<T>& values, const W* attention, const W* attention_sum,
                           int64_t rows, int64_t first, int64_t last, T* pooled, const PoolScratch<W>& scratch) {
  constexpr int64_t columns = pool_columns<W>;
  for (int64_t c = first; c < last; c += columns) {
    const int64_t count = last - c < columns ? last - c : columns;
    for (int64_t start = 0; start < shape.positions; start += pool_positions) {
      const int64_t left = shape.positions - start, positions = left < pool_positions ? left : pool_positions;
      read_positions(values, c, count, start, positions, scratch.strip, columns);
      if (start == 0)
        multiply_block<W, false>(rows, columns, positions, attention, shape.positions, 1, scratch.strip, columns,
                                 scratch.sums, columns);
      else
        multiply_block<W, true>(rows, columns, positions, attention + start, shape.positions, 1, scratch.strip,
                                columns, scratch.sums, columns);
    }
    for (int64_t a = 0; a < rows; ++a) {
      const W scale = inverse_sum(attention_sum[a]);
      for (int64_t i = 0; i < count; ++i)
        narrow(scratch.sums[a * columns + i] * scale, pooled + a * shape.values + c + i);
    }
  }
}

constexpr int64_t kBackwardChannels = 32;  // channels of X in flight between their two uses

template <typename W>
struct PoolBackwardScratch {
  W* dpooled;  // [rows, padded C], divided by the floored sum
  W* along;    // [rows], what the division by the sum sends back to every position
  W* tile;     // X or dX, kBackwardChannels of them over all positions

  PoolBackwardScratch(Arena& arena, const Shape& shape, int64_t rows)
      : dpooled(arena.take<W>(rows * padded<W>(shape.values))),
        along(arena.take<W>(rows)),
        tile(arena.take<W>(padded<W>(kBackwardChannels) * padded<W>(shape.positions))) {}
};

template <typename T, typename W>
inline void scale_dpooled(const Shape& shape, const T* dpooled, const T* pooled, const W* attention_sum, int64_t rows,
                          const PoolBackwardScratch<W>& scratch) {
  const int64_t width = padded<W>(shape.values);
  copy_in(rows, shape.values, dpooled, shape.values, scratch.dpooled, width, width);
  for (int64_t a = 0; a < rows; ++a) {
    W* row = scratch.dpooled + a * width;
    const T* f = pooled + a * shape.values;
    const Vector<W> scale = broadcast(inverse_sum(attention_sum[a]));
    for (int64_t c = 0; c < width; c += lanes<W>) store(load(row + c) * scale, row + c);
    Vector<W> dots{};
    int64_t c = 0;
    for (; c + lanes<W> <= shape.values; c += lanes<W>) dots += load(row + c) * load(f + c);
    W dot = sum_lanes<W>(dots);
    for (; c < shape.values; ++c) dot += row[c] * to_wide(f[c]);
    scratch.along[a] = attention_sum[a] > W(kSumFloor) ? dot : W(0);
  }
}

// dvalues (where wanted) and dattention [rows, width] (where not null, overwritten) from attention [rows, width].
template <typename T, typename W>
inline void attention_pool_backward(const Shape& shape, const SampleMap<T>& values, const SampleMap<T>& dvalues,
                                    const W* attention, int64_t width, int64_t rows, W* dattention,
                                    const PoolBackwardScratch<W>& scratch) {
  const int64_t dpooled_width = padded<W>(shape.values), positions = shape.positions;
  for (int64_t c = 0; c < shape.values; c += kBackwardChannels) {
    const int64_t left = shape.values - c, count = left < kBackwardChannels ? left : kBackwardChannels;
    const W* dpooled = scratch.dpooled + c;
    if (dattention) {
      read_channels(values, c, count, positions, scratch.tile, width);
      if (c == 0)
        multiply<W, false>(rows, width, count, dpooled, dpooled_width, 1, scratch.tile, width, dattention, width);
      else
        multiply<W, true>(rows, width, count, dpooled, dpooled_width, 1, scratch.tile, width, dattention, width);
    }
    if (!dvalues.data) continue;
    if (dvalues.positions_inner()) {
      multiply<W, false>(count, width, rows, dpooled, 1, dpooled_width, attention, width, scratch.tile, width);
      write_channels(scratch.tile, width, dvalues, c, count, positions);
    } else {
      constexpr int64_t tile_width = padded<W>(kBackwardChannels);
      multiply<W, false>(positions, padded<W>(count), rows, attention, 1, width, dpooled, dpooled_width, scratch.tile,
                         tile_width);
      copy_out(positions, count, scratch.tile, tile_width, dvalues.at(c, 0), dvalues.position_stride);
    }
  }
  if (!dattention) return;
  for (int64_t a = 0; a < rows; ++a) {
    W* row = dattention + a * width;
    for (int64_t l = 0; l < positions; ++l) row[l] -= scratch.along[a];
    for (int64_t l = positions; l < width; ++l) row[l] = 0;
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
