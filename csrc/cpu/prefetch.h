// Feature maps exceed the caches: traversal in memory order, and prefetching of the data that is read next.
#pragma once

#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Visits `whole` in tiles of at most `channel_step` x `position_step`, grouped in runs of adjacent memory: all
// positions of some channels (NCHW), or all channels of some positions (channels_last). Calls begin(next run, tiles of
// this run) before each run and body(tile) for each tile.
template <typename Begin, typename Body>
SMA_INLINE void for_tiles_in_memory_order(bool positions_inner, const MapTile& whole, int64_t channel_step,
                                          int64_t position_step, Begin begin, Body body) {
  const auto tiles = [](int64_t count, int64_t step) { return (count + step - 1) / step; };
  const int64_t run_channels = positions_inner ? min_of(channel_step, whole.channels) : whole.channels;
  const int64_t run_positions = positions_inner ? whole.positions : min_of(position_step, whole.positions);
  const auto clipped = [&](int64_t c, int64_t l, int64_t channels, int64_t positions) {
    return MapTile{whole.channel + c, min_of(channels, whole.channels - c), whole.position + l,
                   min_of(positions, whole.positions - l)};
  };
  for (int64_t c0 = 0; c0 < whole.channels; c0 += run_channels)
    for (int64_t l0 = 0; l0 < whole.positions; l0 += run_positions) {
      begin(positions_inner ? clipped(c0 + run_channels, l0, run_channels, run_positions)
                            : clipped(c0, l0 + run_positions, run_channels, run_positions),
            tiles(run_channels, channel_step) * tiles(run_positions, position_step));
      for (int64_t c = c0; c < min_of(c0 + run_channels, whole.channels); c += channel_step)
        for (int64_t l = l0; l < min_of(l0 + run_positions, whole.positions); l += position_step)
          body(clipped(c, l, channel_step, position_step));
    }
}

// Prefetches a tile of a feature map over `steps` iterations of a product's inner loop. Prefetched all at once, it
// would fill the core's few line-fill buffers and stall; spread out, its latency hides behind the arithmetic.
// Prefetching an unmapped address is harmless.
class Prefetcher {
 public:
  Prefetcher() = default;

  template <typename T>
  Prefetcher(const SampleMap<T>& map, const MapTile& tile, int64_t steps) {
    if (!map.data || tile.channels <= 0 || tile.positions <= 0 || steps <= 0) return;
    const bool inner = map.positions_inner();
    line_ = reinterpret_cast<const char*>(map.at(tile.channel, tile.position));
    row_bytes_ =
        kLine * ((static_cast<int64_t>(sizeof(T)) * (inner ? tile.positions : tile.channels) + kLine - 1) / kLine);
    row_gap_ = static_cast<int64_t>(sizeof(T)) * (inner ? map.channel_stride : map.position_stride) - row_bytes_;
    rows_left_ = inner ? tile.channels : tile.positions;
    lines_per_step_ = (rows_left_ * row_bytes_ / kLine + steps - 1) / steps;
    row_end_ = line_ + row_bytes_;
  }

  SMA_INLINE void step() {
    for (int64_t i = 0; i < lines_per_step_; ++i) {
      __builtin_prefetch(line_, 0, 2);
      line_ += kLine;
      if (line_ != row_end_) continue;
      if (--rows_left_ == 0) lines_per_step_ = 0;
      line_ += row_gap_;
      row_end_ = line_ + row_bytes_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char *line_ = nullptr, *row_end_ = nullptr;
  int64_t row_bytes_ = 0, row_gap_ = 0, rows_left_ = 0, lines_per_step_ = 0;
};

// Prefetches the start of a feature map: what fits in L2 beside the other arrays, at most two lines per step.
template <typename T>
inline Prefetcher prefetch_start(const SampleMap<T>& map, int64_t channels, int64_t positions, int64_t steps) {
  if (!map.data) return {};
  const int64_t max_elements = min_of(1 << 18, 2 * 64 * steps) / static_cast<int64_t>(sizeof(T));
  if (map.positions_inner())
    return Prefetcher(map, {0, min_of(channels, max_elements / positions), 0, positions}, steps);
  return Prefetcher(map, {0, channels, 0, min_of(positions, max_elements / channels)}, steps);
}

struct NoPrefetch {
  SMA_INLINE void step() {}
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
