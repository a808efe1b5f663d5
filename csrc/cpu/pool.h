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

// Channels of X in flight between their two uses. The gradient of the pooled values is kept in blocks of as many: rows a
// power of two apart would share one set of the first cache.
// Fewer would read short pieces of every position where channels lie innermost: 32 were up to 8 % slower there.
constexpr int64_t kBackwardChannels = 64;

template <typename W>
struct PoolBackwardScratch {
  W* dpooled;  // [blocks of channels, rows, kBackwardChannels], divided by the floored sum; padding is 0
  W* tile;     // X or dX, kBackwardChannels of them over all positions

  PoolBackwardScratch(Arena& arena, const Shape& shape, int64_t rows)
      : dpooled(arena.take<W>((shape.values + kBackwardChannels - 1) / kBackwardChannels * kBackwardChannels * rows)),
        tile(arena.take<W>(kBackwardChannels * padded<W>(shape.positions))) {}
};

template <typename T, typename W>
inline void scale_dpooled(const Shape& shape, const T* dpooled, const W* attention_sum, int64_t rows,
                          const PoolBackwardScratch<W>& scratch) {
  for (int64_t c = 0; c < shape.values; c += kBackwardChannels) {
    const int64_t left = shape.values - c, count = left < kBackwardChannels ? left : kBackwardChannels;
    W* block = scratch.dpooled + c * rows;
    copy_in(rows, count, dpooled + c, shape.values, block, kBackwardChannels, kBackwardChannels);
    for (int64_t a = 0; a < rows; ++a) {
      const Vector<W> scale = broadcast(inverse_sum(attention_sum[a]));
      for (int64_t i = 0; i < kBackwardChannels; i += lanes<W>)
        store(load(block + a * kBackwardChannels + i) * scale, block + a * kBackwardChannels + i);
    }
  }
}

// The gradient of the division by sum A: it takes <df, f> / sum A from every position. Read off as sum_l A_l dA_l / sum A,
// which needs no rounded f and, with the sum of the A at hand, leaves sum_l A_l dA_l = 0 to the last bits.
template <typename W>
inline void normalisation_backward(int64_t rows, int64_t positions, const W* attention, const W* attention_sum,
                                   int64_t width, W* dattention) {
  for (int64_t a = 0; a < rows; ++a) {
    const W* weight = attention + a * width;
    W* row = dattention + a * width;
    if (!(attention_sum[a] <= W(kSumFloor))) {
      Vector<W> dots{}, sums{};
      for (int64_t l = 0; l < width; l += lanes<W>) {
        dots += load(weight + l) * load(row + l);
        sums += load(weight + l);
      }
      const W mean = sum_lanes<W>(dots) / sum_lanes<W>(sums);
      for (int64_t l = 0; l < positions; ++l) row[l] -= mean;
    }
    for (int64_t l = positions; l < width; ++l) row[l] = 0;
  }
}

// dattention [rows, width] (+)= block [rows, count] times channels `first`.. of X. Float rows of X are read where they
// lie, but for the positions past the last whole vector.
template <bool accumulate, typename T, typename W>
inline void dattention_from(const SampleMap<T>& values, int64_t first, int64_t count, int64_t positions, const W* block,
                            int64_t rows, W* dattention, int64_t width, W* tile) {
  int64_t whole = 0;
  if constexpr (std::is_same_v<T, W>) {
    if (values.positions_inner()) {
      whole = positions / lanes<W> * lanes<W>;
      multiply<W, accumulate>(rows, whole, count, block, kBackwardChannels, 1, values.at(first, 0),
                              values.channel_stride, dattention, width);
    }
  }
  if (whole == positions) return;
  const int64_t tile_width = width - whole;
  read_channels(values, first, count, whole, positions - whole, tile, tile_width);
  multiply<W, accumulate>(rows, tile_width, count, block, kBackwardChannels, 1, tile, tile_width, dattention + whole,
                          width);
}

// Channels `first`.. of dX = block^T A. Whole float vectors go straight to memory.
template <typename T, typename W>
inline void dvalues_from(const SampleMap<T>& dvalues, int64_t first, int64_t count, int64_t positions, const W* block,
                         int64_t rows, const W* attention, int64_t width, W* tile) {
  int64_t whole = 0;
  if (dvalues.positions_inner()) {
    if constexpr (std::is_same_v<T, W>) {
      whole = positions / lanes<W> * lanes<W>;
      multiply<W, false>(count, whole, rows, block, 1, kBackwardChannels, attention, width, dvalues.at(first, 0),
                         dvalues.channel_stride);
    }
    if (whole == positions) return;
    const int64_t tile_width = width - whole;
    multiply<W, false>(count, tile_width, rows, block, 1, kBackwardChannels, attention + whole, width, tile, tile_width);
    copy_out(count, positions - whole, tile, tile_width, dvalues.at(first, whole), dvalues.channel_stride);
    return;
  }
  if constexpr (std::is_same_v<T, W>) {
    whole = count / lanes<W> * lanes<W>;
    multiply<W, false>(positions, whole, rows, attention, 1, width, block, kBackwardChannels, dvalues.at(first, 0),
                       dvalues.position_stride);
  }
  if (whole == count) return;
  const int64_t tile_width = padded<W>(count) - whole;
  multiply<W, false>(positions, tile_width, rows, attention, 1, width, block + whole, kBackwardChannels, tile,
                     tile_width);
  copy_out(positions, count - whole, tile, tile_width, dvalues.at(first + whole, 0), dvalues.position_stride);
}

// dvalues (where wanted) and dattention [rows, width] (where not null, overwritten) from attention [rows, width].
template <typename T, typename W>
inline void attention_pool_backward(const Shape& shape, const SampleMap<T>& values, const SampleMap<T>& dvalues,
                                    const W* attention, int64_t width, int64_t rows, W* dattention,
                                    const PoolBackwardScratch<W>& scratch) {
  const int64_t positions = shape.positions;
  for (int64_t c = 0; c < shape.values; c += kBackwardChannels) {
    const int64_t left = shape.values - c, count = left < kBackwardChannels ? left : kBackwardChannels;
    const W* block = scratch.dpooled + c * rows;
    if (dattention && c == 0)
      dattention_from<false>(values, c, count, positions, block, rows, dattention, width, scratch.tile);
    else if (dattention)
      dattention_from<true>(values, c, count, positions, block, rows, dattention, width, scratch.tile);
    if (dvalues.data) dvalues_from(dvalues, c, count, positions, block, rows, attention, width, scratch.tile);
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
