// Attention pooling: f = A X^T / max(sum A, floor), and its gradients, for one sample and a range of channels.
#pragma once

#include "map_gemm.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename W>
SMA_INLINE W inverse_sum(W sum) {
  return W(1) / (sum < W(kSumFloor) ? W(kSumFloor) : sum);
}

// What is pooled of X at a time: few channels or, where these lie innermost, few positions, so that the next ones asked
// for stay in the second cache.
template <typename W>
constexpr int64_t kPoolChannels = 3 * lanes<W>;
constexpr int64_t kPoolPositions = 512, kPoolPositionsLast = 32;

template <typename W>
inline int64_t pool_tile(const Shape& shape) {
  return least(kPoolPositions, padded<W>(shape.positions)) * kPoolChannels<W>;
}

// to [rows, kPoolChunk] += from [rows, kPoolChunk], `channels` of them, in whole vectors.
template <typename W>
inline void add_sums(int64_t rows, int64_t channels, const W* from, W* to) {
  for (int64_t a = 0; a < rows; ++a)
    for (int64_t i = a * kPoolChunk; i < a * kPoolChunk + channels; i += lanes<W>)
      store(load(to + i) + load(from + i), to + i);
}

// pooled [rows, C], channels first..last, from attention [rows, L] and attention_sum [rows], kPoolChunk channels at a
// time. Each kPoolPositions positions are summed on their own, as in a product. `sums` and `later` [rows, kPoolChunk],
// of the first ones and of those that are added to them, and `tile` are scratch.
template <typename T, typename W>
inline void attention_pool(const Shape& shape, const SampleMap<T>& values, const W* attention, const W* attention_sum,
                           int64_t rows, int64_t first, int64_t last, T* pooled, W* sums, W* later, W* tile) {
  const bool inner = values.positions_inner();
  const int64_t position_step = inner ? kPoolPositions : kPoolPositionsLast;
  const int64_t steps = steps_of<W>(rows, kPoolChannels<W>, least(position_step, shape.positions));
  Ahead next;
  for (int64_t start = first; start < last; start += kPoolChunk) {
    const int64_t channels = least(kPoolChunk, last - start), after = start + channels;
    const Piece next_chunk{after, least(inner ? kPoolChannels<W> : kPoolChunk, last - after), 0,
                           inner ? shape.positions : least(position_step, shape.positions)};
    in_memory_order(
        inner, {start, channels, 0, shape.positions}, kPoolChannels<W>, position_step,
        [&](const Piece& following, int64_t pieces) {
          const bool ends = following.channels <= 0 || following.positions <= 0;
          next = Ahead(values, ends ? next_chunk : following, pieces * steps);
        },
        [&](const Piece& piece) {
          const int64_t channel = piece.channel - start, end = piece.position + piece.positions;
          const bool is_later = piece.position >= kPoolPositions;
          W* own = (is_later ? later : sums) + channel;
          if (piece.position % kPoolPositions == 0)
            sum_positions<false>(values, piece, attention, shape.positions, rows, own, kPoolChunk, tile, next);
          else
            sum_positions<true>(values, piece, attention, shape.positions, rows, own, kPoolChunk, tile, next);
          if (is_later && (end % kPoolPositions == 0 || end == shape.positions))
            add_sums(rows, piece.channels, own, sums + channel);
        });
    for (int64_t a = 0; a < rows; ++a) {
      const W scale = inverse_sum(attention_sum[a]);
      for (int64_t i = 0; i < channels; ++i)
        narrow(sums[a * kPoolChunk + i] * scale, pooled + a * shape.values + start + i);
    }
  }
}

// What is in work of X and dX at a time in the backward.
constexpr int64_t kBackwardChannels = 64, kBackwardChannelsLast = 512, kBackwardPositionsLast = 16;

template <typename W>
inline int64_t pool_backward_tile(const Shape& shape) {
  const int64_t channels = padded<W>(shape.values), positions = padded<W>(shape.positions);
  return most(least(kBackwardChannels, channels) * positions,
              least(kBackwardChannelsLast, channels) * kBackwardPositionsLast);
}

// Of the gradient of the pooled values: not a power of two, lest all rows share one set of the first cache.
template <typename W>
inline int64_t dpooled_width(const Shape& shape) {
  return padded<W>(shape.values) + 64 / sizeof(W);
}

// scaled [rows, dpooled_width]: dpooled [rows, C] divided by the floored sum, padded with zeros.
template <typename T, typename W>
inline void scale_dpooled(const Shape& shape, const T* dpooled, const W* attention_sum, int64_t rows, W* scaled) {
  const int64_t width = dpooled_width<W>(shape);
  copy_in(rows, shape.values, dpooled, shape.values, scaled, width, width);
  for (int64_t a = 0; a < rows; ++a) {
    const Vector<W> scale = broadcast(inverse_sum(attention_sum[a]));
    W* row = scaled + a * width;
    for (int64_t i = 0; i < width; i += lanes<W>) store(load(row + i) * scale, row + i);
  }
}

// The gradient of the division by sum A takes <df, f> / sum A from every position. Read off as sum_l A_l dA_l / sum A,
// which needs no rounded f and, with the sum of the A at hand, leaves sum_l A_l dA_l = 0 to the last bits.
template <typename W>
inline void normalisation_backward(int64_t rows, int64_t positions, const W* attention, const W* attention_sum,
                                   int64_t width, W* dattention) {
  for (int64_t a = 0; a < rows; ++a) {
    const W* weight = attention + a * width;
    W* row = dattention + a * width;
    if (!(attention_sum[a] <= W(kSumFloor))) {
      const Vector<W> dots = sum_vectors<W>(width, [&](int64_t l) { return load(weight + l) * load(row + l); });
      const Vector<W> sums = sum_vectors<W>(width, [&](int64_t l) { return load(weight + l); });
      const W mean = sum_lanes<W>(dots) / sum_lanes<W>(sums);
      for (int64_t l = 0; l < positions; ++l) row[l] -= mean;
    }
    for (int64_t l = positions; l < width; ++l) row[l] = 0;
  }
}

// dvalues (where wanted) and dattention [rows, width] (where not null, overwritten) from the scaled dpooled and
// attention [rows, width].
template <typename T, typename W>
inline void attention_pool_backward(const Shape& shape, const SampleMap<T>& values, const SampleMap<T>& dvalues,
                                    const W* scaled, const W* attention, int64_t width, int64_t rows, W* dattention,
                                    W* tile) {
  const bool inner = values.positions_inner();
  const int64_t channel_step = inner ? kBackwardChannels : kBackwardChannelsLast;
  const int64_t position_step = inner ? shape.positions : kBackwardPositionsLast;
  const int64_t row = dpooled_width<W>(shape);
  const int64_t steps = steps_of<W>(rows, least(channel_step, shape.values), least(position_step, shape.positions));
  Ahead next_values, next_dvalues;
  in_memory_order(
      inner, {0, shape.values, 0, shape.positions}, channel_step, position_step,
      [&](const Piece& following, int64_t pieces) {
        if (dattention) next_values = Ahead(values, following, pieces * steps);
        next_dvalues = Ahead(dvalues, following, pieces * steps);
      },
      [&](const Piece& piece) {
        const W* left = scaled + piece.channel;
        if (dattention && piece.channel == 0)
          sum_channels<false>(values, piece, left, row, rows, dattention, width, tile, next_values);
        else if (dattention)
          sum_channels<true>(values, piece, left, row, rows, dattention, width, tile, next_values);
        if (dvalues.data) write_product(dvalues, piece, left, row, rows, attention, width, tile, next_dvalues);
      });
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
