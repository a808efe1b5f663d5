// Feature maps are larger than the caches: the order in which they are visited, and asking for what comes next.
#pragma once

#include "matrix.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Visits `whole` in pieces of at most `channel_step` and `position_step`, in runs that lie together in memory: all
// positions of some channels or, where channels lie innermost, all channels of some positions. Ahead of each run
// `begin` is told what will follow it, and of how many pieces it consists; `body` gets the pieces.
template <typename Begin, typename Body>
SMA_INLINE void in_memory_order(bool positions_inner, const Piece& whole, int64_t channel_step, int64_t position_step,
                                Begin begin, Body body) {
  const auto pieces = [](int64_t count, int64_t step) { return (count + step - 1) / step; };
  const int64_t run_channels = positions_inner ? least(channel_step, whole.channels) : whole.channels;
  const int64_t run_positions = positions_inner ? whole.positions : least(position_step, whole.positions);
  const auto clipped = [&](int64_t c, int64_t l, int64_t channels, int64_t positions) {
    return Piece{whole.channel + c, least(channels, whole.channels - c), whole.position + l,
                 least(positions, whole.positions - l)};
  };
  for (int64_t c0 = 0; c0 < whole.channels; c0 += run_channels)
    for (int64_t l0 = 0; l0 < whole.positions; l0 += run_positions) {
      begin(positions_inner ? clipped(c0 + run_channels, l0, run_channels, run_positions)
                            : clipped(c0, l0 + run_positions, run_channels, run_positions),
            pieces(run_channels, channel_step) * pieces(run_positions, position_step));
      for (int64_t c = c0; c < least(c0 + run_channels, whole.channels); c += channel_step)
        for (int64_t l = l0; l < least(l0 + run_positions, whole.positions); l += position_step)
          body(clipped(c, l, channel_step, position_step));
    }
}

// A piece of a feature map that will be needed next, asked for while products compute: `steps` is how often their inner
// loops turn. Asked for all at once, it would fill the core's few slots for outstanding lines and stall; spread out, it
// arrives beside the arithmetic. An address that is not mapped is no error.
class Ahead {
 public:
  Ahead() = default;

  template <typename T>
  Ahead(const SampleMap<T>& map, const Piece& piece, int64_t steps) {
    if (!map.data || piece.channels <= 0 || piece.positions <= 0 || steps <= 0) return;
    const bool inner = map.positions_inner();
    line_ = reinterpret_cast<const char*>(map.at(piece.channel, piece.position));
    row_ = kLine * ((static_cast<int64_t>(sizeof(T)) * (inner ? piece.positions : piece.channels) + kLine - 1) / kLine);
    jump_ = static_cast<int64_t>(sizeof(T)) * (inner ? map.channel_stride : map.position_stride) - row_;
    rows_ = inner ? piece.channels : piece.positions;
    each_ = (rows_ * row_ / kLine + steps - 1) / steps;
    row_end_ = line_ + row_;
  }

  SMA_INLINE void step() {
    for (int64_t i = 0; i < each_; ++i) {
      __builtin_prefetch(line_, 0, 2);
      line_ += kLine;
      if (line_ != row_end_) continue;
      if (--rows_ == 0) each_ = 0;
      line_ += jump_;
      row_end_ = line_ + row_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char *line_ = nullptr, *row_end_ = nullptr;
  int64_t row_ = 0, jump_ = 0, rows_ = 0, each_ = 0;
};

// The start of a feature map: what fits beside the rest in the second cache, and at most two lines a step.
template <typename T>
inline Ahead start_ahead(const SampleMap<T>& map, int64_t channels, int64_t positions, int64_t steps) {
  if (!map.data) return {};
  const int64_t most_numbers = least(1 << 18, 2 * 64 * steps) / static_cast<int64_t>(sizeof(T));
  if (map.positions_inner()) return Ahead(map, {0, least(channels, most_numbers / positions), 0, positions}, steps);
  return Ahead(map, {0, channels, 0, least(positions, most_numbers / channels)}, steps);
}

struct NothingAhead {
  SMA_INLINE void step() {}
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
