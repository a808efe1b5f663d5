// Attention pooling f = A X^T / max(sum A, floor), for one sample and a range of channels, and its backward.
#pragma once

#include "map_gemm.h"
#include "team.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename acc_t>
SMA_INLINE acc_t inverse_sum(acc_t sum) {
  return acc_t(1) / (sum < acc_t(kSumFloor) ? acc_t(kSumFloor) : sum);
}

// Tile sizes of X in the forward: few channels (NCHW) or few positions (channels_last), so that prefetched ones stay in
// L2.
template <typename acc_t>
constexpr int64_t kPoolChannels = 3 * lanes<acc_t>;
constexpr int64_t kPoolPositions = 512, kPoolPositionsNhwc = 32;

template <typename acc_t>
inline int64_t pool_buffer_size(const Shape& shape) {
  return min_of(kPoolPositions, padded<acc_t>(shape.positions)) * kPoolChannels<acc_t>;
}

// to [rows, kPoolChunk] += from [rows, kPoolChunk], the first `channels`, in whole vectors.
template <typename acc_t>
inline void add_sums(int64_t rows, int64_t channels, const acc_t* from, acc_t* to) {
  for (int64_t a = 0; a < rows; ++a)
    for (int64_t i = a * kPoolChunk; i < a * kPoolChunk + channels; i += lanes<acc_t>)
      store(load(to + i) + load(from + i), to + i);
}

// pooled [rows, C], channels first..last, from attention [rows, L] and attention_sum [rows], in chunks of kPoolChunk
// channels. Positions are summed in blocks of kPoolPositions, like the depth of a product: the first block in `sums`,
// later ones in `block_sums` (both [rows, kPoolChunk]), which are added. These and `buffer` are scratch.
template <typename T, typename acc_t>
inline void attention_pool(const Shape& shape, const SampleMap<T>& values, const acc_t* attention,
                           const acc_t* attention_sum, int64_t rows, int64_t first, int64_t last, T* pooled,
                           acc_t* sums, acc_t* block_sums, acc_t* buffer) {
  const bool inner = values.positions_inner();
  const int64_t position_step = inner ? kPoolPositions : kPoolPositionsNhwc;
  const int64_t steps = product_steps<acc_t>(rows, kPoolChannels<acc_t>, min_of(position_step, shape.positions));
  Prefetcher prefetch;
  for (int64_t start = first; start < last; start += kPoolChunk) {
    const int64_t channels = min_of(kPoolChunk, last - start), after = start + channels;
    const MapTile next_chunk{after, min_of(inner ? kPoolChannels<acc_t> : kPoolChunk, last - after), 0,
                             inner ? shape.positions : min_of(position_step, shape.positions)};
    for_tiles_in_memory_order(
        inner, {start, channels, 0, shape.positions}, kPoolChannels<acc_t>, position_step,
        [&](const MapTile& next_run, int64_t tiles) {
          const bool chunk_ends = next_run.channels <= 0 || next_run.positions <= 0;
          prefetch = Prefetcher(values, chunk_ends ? next_chunk : next_run, tiles * steps);
        },
        [&](const MapTile& tile) {
          const int64_t channel = tile.channel - start, end = tile.position + tile.positions;
          const bool is_later_block = tile.position >= kPoolPositions;
          acc_t* block = (is_later_block ? block_sums : sums) + channel;
          if (tile.position % kPoolPositions == 0)
            sum_positions<false>(values, tile, attention, shape.positions, rows, block, kPoolChunk, buffer, prefetch);
          else
            sum_positions<true>(values, tile, attention, shape.positions, rows, block, kPoolChunk, buffer, prefetch);
          if (is_later_block && (end % kPoolPositions == 0 || end == shape.positions))
            add_sums(rows, tile.channels, block, sums + channel);
        });
    for (int64_t a = 0; a < rows; ++a) {
      const acc_t scale = inverse_sum(attention_sum[a]);
      for (int64_t i = 0; i < channels; ++i)
        from_acc(sums[a * kPoolChunk + i] * scale, pooled + a * shape.values + start + i);
    }
  }
}

// Tile sizes of X and dX in the backward.
constexpr int64_t kBackwardChannels = 64, kBackwardChannelsNhwc = 512, kBackwardPositionsNhwc = 16;

template <typename acc_t>
inline int64_t pool_backward_buffer_size(const Shape& shape) {
  const int64_t channels = padded<acc_t>(shape.values), positions = padded<acc_t>(shape.positions);
  return max_of(min_of(kBackwardChannels, channels) * positions,
                min_of(kBackwardChannelsNhwc, channels) * kBackwardPositionsNhwc);
}

// Row stride of dpooled: not a power of two, which would map all rows to one set of L1.
template <typename acc_t>
inline int64_t dpooled_width(const Shape& shape) {
  return padded<acc_t>(shape.values) + 64 / sizeof(acc_t);
}

// scaled [rows, dpooled_width] = dpooled [rows, C] / max(attention_sum, floor), padded with zeros.
template <typename T, typename acc_t>
inline void scale_dpooled(const Shape& shape, const T* dpooled, const acc_t* attention_sum, int64_t rows,
                          acc_t* scaled) {
  const int64_t width = dpooled_width<acc_t>(shape);
  copy_in(rows, shape.values, dpooled, shape.values, scaled, width, width);
  for (int64_t a = 0; a < rows; ++a) {
    const Vector<acc_t> scale = broadcast(inverse_sum(attention_sum[a]));
    acc_t* row = scaled + a * width;
    for (int64_t i = 0; i < width; i += lanes<acc_t>) store(load(row + i) * scale, row + i);
  }
}

// Adds the later of `chunks` terms [chunks, rows, width] to the first, for the rows `first` to `last`.
template <typename acc_t>
inline void add_terms(int64_t chunks, int64_t rows, int64_t first, int64_t last, int64_t width, acc_t* terms) {
  for (int64_t chunk = 1; chunk < chunks; ++chunk)
    for (int64_t i = first * width; i < last * width; i += lanes<acc_t>)
      store(load(terms + i) + load(terms + chunk * rows * width + i), terms + i);
}

// Backward of the division by sum A, for the rows `first` to `last`: subtracts delta = <df, f> / sum A from dA.
// Computed as sum_l A_l dA_l / sum A, which avoids the rounded f and, with the sum of this very A, leaves sum_l A_l
// dA_l = 0 to the last bits.
template <typename acc_t>
inline void normalization_backward(int64_t first, int64_t last, int64_t positions, const acc_t* attention,
                                   const acc_t* attention_sum, int64_t width, acc_t* dattention) {
  for (int64_t a = first; a < last; ++a) {
    const acc_t* weight = attention + a * width;
    acc_t* row = dattention + a * width;
    if (!(attention_sum[a] <= acc_t(kSumFloor))) {
      const Vector<acc_t> dots = sum_vectors<acc_t>(width, [&](int64_t l) { return load(weight + l) * load(row + l); });
      const Vector<acc_t> sums = sum_vectors<acc_t>(width, [&](int64_t l) { return load(weight + l); });
      const acc_t delta = sum_lanes<acc_t>(dots) / sum_lanes<acc_t>(sums);
      for (int64_t l = 0; l < positions; ++l) row[l] -= delta;
    }
    for (int64_t l = positions; l < width; ++l) row[l] = 0;
  }
}

// dvalues (if its data is set) and dattention [rows, width] (if not null, overwritten) of the part `whole` of the
// values, from the scaled dpooled and attention [rows, width].
template <typename T, typename acc_t>
inline void attention_pool_backward(const Shape& shape, const SampleMap<T>& values, const SampleMap<T>& dvalues,
                                    const MapTile& whole, const acc_t* scaled, const acc_t* attention, int64_t width,
                                    int64_t rows, acc_t* dattention, acc_t* buffer) {
  const bool inner = values.positions_inner();
  const int64_t channel_step = inner ? kBackwardChannels : kBackwardChannelsNhwc;
  const int64_t position_step = inner ? whole.positions : kBackwardPositionsNhwc;
  const int64_t row = dpooled_width<acc_t>(shape);
  const int64_t steps =
      product_steps<acc_t>(rows, min_of(channel_step, whole.channels), min_of(position_step, whole.positions));
  Prefetcher prefetch_values, prefetch_dvalues;
  for_tiles_in_memory_order(
      inner, whole, channel_step, position_step,
      [&](const MapTile& next_run, int64_t tiles) {
        if (dattention) prefetch_values = Prefetcher(values, next_run, tiles * steps);
        prefetch_dvalues = Prefetcher(dvalues, next_run, tiles * steps);
      },
      [&](const MapTile& tile) {
        const acc_t* left = scaled + tile.channel;
        if (dattention && tile.channel == whole.channel)
          sum_channels<false>(values, tile, left, row, rows, dattention, width, buffer, prefetch_values);
        else if (dattention)
          sum_channels<true>(values, tile, left, row, rows, dattention, width, buffer, prefetch_values);
        if (!dvalues.data) return;
        write_product(dvalues, tile, left, row, rows, attention, width, buffer, prefetch_dvalues);
        clear_invalid(dvalues, tile);
      });
}

// Chunks of channels with a gradient of A each, which are added in order: those that one thread adds one by one. One
// for a team of one, and in channels_last, where all channels of a position are adjacent.
inline int64_t pool_backward_chunks(const Shape& shape, bool positions_inner, int64_t workers) {
  return workers == 1 || !positions_inner ? 1 : (shape.values + kBackwardChannels - 1) / kBackwardChannels;
}

// The parts of a sample that a team works on.
template <typename acc_t>
struct PoolBackwardParts {
  int64_t chunks;
  Parts positions;

  PoolBackwardParts(const Shape& shape, bool positions_inner, int64_t workers)
      : chunks(pool_backward_chunks(shape, positions_inner, workers)),
        positions(positions_inner ? long_parts(shape.positions, lanes<acc_t>, (workers + chunks - 1) / chunks)
                                  : tile_parts(shape.positions, kBackwardPositionsNhwc, workers)) {}

  MapTile part(const Shape& shape, int64_t task) const {
    const int64_t channel = task % chunks * kBackwardChannels, position = positions.start(task / chunks);
    const int64_t channels = chunks == 1 ? shape.values : min_of(kBackwardChannels, shape.values - channel);
    return {channel, channels, position, positions.start(task / chunks + 1) - position};
  }
};

// The same by a team; `sums` [chunks, rows, width] receives the terms of dattention.
template <typename T, typename acc_t>
inline void attention_pool_backward(const Shape& shape, const Team& team, const SampleMap<T>& values,
                                    const SampleMap<T>& dvalues, const acc_t* scaled, const acc_t* attention,
                                    int64_t width, int64_t rows, acc_t* sums, const PerWorker<acc_t>& buffers) {
  const PoolBackwardParts<acc_t> parts(shape, values.positions_inner(), team.workers);
  each_task(team, parts.chunks * parts.positions.count, [&](int64_t task, int64_t worker) {
    acc_t* dattention = sums ? sums + task % parts.chunks * rows * width : nullptr;
    attention_pool_backward(shape, values, dvalues, parts.part(shape, task), scaled, attention, width, rows, dattention,
                            buffers[worker]);
  });
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
