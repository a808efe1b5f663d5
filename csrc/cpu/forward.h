// The forward of one sample: maps, Gram, diversity, correlation, refinement and merge; then the pooling of a range
// of channels.
#pragma once

#include "correlation.h"
#include "kernels.h"
#include "merge.h"
#include "pool.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename W>
struct ForwardScratch {
  W* maps;        // [N, padded L]
  W* transposed;  // [L, padded N], needed by the Gram alone
  W* tile;        // a piece of features or values
  W* s;           // [N, padded N]
  W* t;           // [N, padded N]
  W* region;      // [K, padded L], refined maps of one region
  Cosines<W> cosines;
  W* sums;   // [rows, kPoolChunk]
  W* later;  // [rows, kPoolChunk]

  ForwardScratch(Arena& arena, const Shape& shape, const Inputs& in)
      : maps(arena.take<W>(shape.maps() * padded<W>(shape.positions))),
        transposed(arena.take<W>(shape.positions * padded<W>(shape.maps()))),
        tile(arena.take<W>(most(pool_tile<W>(shape), feature_tile<W>(shape, in)))),
        s(arena.take<W>(shape.maps() * padded<W>(shape.maps()))),
        t(arena.take<W>(shape.maps() * padded<W>(shape.maps()))),
        region(arena.take<W>(shape.channels * padded<W>(shape.positions))),
        cosines(arena, shape),
        sums(arena.take<W>(merged_rows(shape, in) * kPoolChunk)),
        later(arena.take<W>(merged_rows(shape, in) * kPoolChunk)) {}
};

// maps [N, width] of a sample: from features, or the given ones.
template <typename T, typename W>
inline void maps_of_sample(const Shape& shape, const Inputs& in, int64_t sample, W* maps, int64_t width, W* tile) {
  if (in.maps) {
    const T* given = static_cast<const T*>(in.maps) + sample * shape.maps() * shape.positions;
    copy_in(shape.maps(), shape.positions, given, shape.positions, maps, width, width);
  } else {
    attention_maps<T>(shape, in, sample, maps, width, tile);
  }
}

// m' [K, width] of one region under the refinement `t` [N, columns]; the maps themselves without a correlation.
template <typename W>
inline const W* refined_region(const Shape& shape, const Inputs& in, int64_t region, const W* t, int64_t columns,
                               const W* maps, int64_t width, W* refined) {
  const int64_t first = region * shape.channels;
  if (!in.correlate) return maps + first * width;
  multiply<W, false>(shape.channels, width, shape.maps(), t + first * columns, columns, 1, maps, width, refined, width);
  return refined;
}

template <typename T, typename W>
struct Forward {
  const Shape& shape;
  const Inputs& in;
  const Outputs& out;
  int64_t sample;
  const ForwardScratch<T, W>& scratch;

  int64_t width() const { return padded<W>(shape.positions); }

  void maps_to_attention(W* attention) const {
    const int64_t count = shape.maps(), positions = shape.positions;
    maps_of_sample<T>(shape, in, sample, scratch.maps, width(), scratch.tile);
    if (out.maps)
      copy_out(count, positions, scratch.maps, width(), static_cast<T*>(out.maps) + sample * count * positions,
               positions);
    if (in.diversify || in.correlate) relations();
    if (!attention) return;
    for (int64_t r = 0; r < shape.regions; ++r)
      merge(r, refined_region(shape, in, r, scratch.t, scratch.cosines.width, scratch.maps, width(), scratch.region),
            attention);
    write_attention(attention);
  }

  void relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    transpose<W>(count, shape.positions, scratch.maps, width(), scratch.transposed, columns, columns);
    Ahead values = start_ahead(SampleMap<T>(in.values, sample), shape.values, shape.positions,
                               steps_of<W>(count, count, shape.positions));
    cosine_gram(shape, scratch.maps, width(), scratch.transposed, scratch.cosines, values);
    if (in.diversify)
      static_cast<W*>(out.diversity)[sample] = hinge_diversity(shape, scratch.cosines, static_cast<W>(in.margin));
    if (!in.correlate) return;
    correlation(in, scratch.cosines, scratch.s);
    copy_out(count, count, scratch.s, columns, static_cast<W*>(out.correlation) + sample * count * count, count);
    refinement<W, false>(in, count, columns, scratch.s, scratch.t);
  }

  void merge(int64_t region, const W* maps, W* attention) const {
    const int64_t positions = shape.positions;
    if (in.merge == Merge::none) {
      copy_out(shape.channels, positions, maps, width(), attention + region * shape.channels * positions, positions);
    } else {
      uint8_t* winner = out.winner ? out.winner + (sample * shape.regions + region) * positions : nullptr;
      merge_region(in.merge, shape.channels, positions, maps, width(), attention + region * positions, winner);
    }
  }

  void write_attention(const W* attention) const {
    const int64_t rows = merged_rows(shape, in), positions = shape.positions;
    if (out.attention && out.attention != static_cast<const void*>(attention - sample * rows * positions))
      copy_out(rows, positions, attention, positions, static_cast<T*>(out.attention) + sample * rows * positions,
               positions);
    if (!out.attention_sum) return;
    W* sums = static_cast<W*>(out.attention_sum) + sample * rows;
    for (int64_t a = 0; a < rows; ++a) sums[a] = sum_row(attention + a * positions, positions);
  }

  void pool(const W* attention, int64_t first, int64_t last) const {
    const int64_t rows = merged_rows(shape, in);
    attention_pool<T>(shape, SampleMap<T>(in.values, sample), attention,
                      static_cast<const W*>(out.attention_sum) + sample * rows, rows, first, last,
                      static_cast<T*>(out.pooled) + sample * rows * shape.values, scratch.sums, scratch.later,
                      scratch.tile);
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
