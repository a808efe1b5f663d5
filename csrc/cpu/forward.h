// Forward of one sample: maps, Gram, diversity, correlation, refinement and merge; then pooling.
#pragma once

#include "correlation.h"
#include "kernels.h"
#include "merge.h"
#include "pool.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
struct ForwardScratch {
  acc_t* maps;              // [N, padded L]
  acc_t* transposed;        // [L, padded N], for the Gram only
  PerWorker<acc_t> buffer;  // a tile of features or values
  acc_t* s;                 // [N, padded N]
  acc_t* t;                 // [N, padded N]
  PerWorker<acc_t> region;  // [K, padded L], refined maps of one region
  Cosines<acc_t> cosines;
  PerWorker<acc_t> sums;        // [rows, kPoolChunk]
  PerWorker<acc_t> block_sums;  // [rows, kPoolChunk]

  ForwardScratch(Arena& arena, const Shape& shape, const Inputs& in, int64_t workers)
      : maps(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.positions))),
        transposed(arena.take<acc_t>(shape.positions * padded<acc_t>(shape.maps()))),
        buffer(arena, workers, max_of(pool_buffer_size<acc_t>(shape), feature_buffer_size<acc_t>(shape, in))),
        s(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        t(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        region(arena, workers, shape.channels * padded<acc_t>(shape.positions)),
        cosines(arena, shape),
        sums(arena, workers, merged_rows(shape, in) * kPoolChunk),
        block_sums(arena, workers, merged_rows(shape, in) * kPoolChunk) {}
};

// maps [N, width] of a sample, from features or from the caller. Copies those from features to `out` [N, L], if that is
// not null.
template <typename T, typename acc_t>
inline void maps_of_sample(const Shape& shape, const Inputs& in, int64_t sample, const Team& team, acc_t* maps,
                           int64_t width, const PerWorker<acc_t>& buffers, T* out) {
  const int64_t positions = shape.positions;
  if (!in.maps) attention_logits<T>(shape, in, sample, team, maps, width, buffers);
  each_range(team, shape.maps(), at_least(kFewExponentials, width), [&](int64_t first, int64_t last, int64_t) {
    if (in.maps) {
      const T* from = static_cast<const T*>(in.maps) + (sample * shape.maps() + first) * positions;
      copy_in(last - first, positions, from, positions, maps + first * width, width, width);
    } else {
      activate(shape, in, valid_positions(shape, in, sample), first, last, maps, width);
    }
    if (out) copy_out(last - first, positions, maps + first * width, width, out + first * positions, positions);
  });
}

// m' [K, width] of one region at the positions `first` to `last`, with the refinement matrix `t` [N, columns]; the maps
// themselves without a correlation.
template <typename acc_t>
inline const acc_t* refine_region(const Shape& shape, const Inputs& in, int64_t region, int64_t first, int64_t last,
                                  const acc_t* t, int64_t columns, const acc_t* maps, int64_t width, acc_t* refined) {
  const int64_t start = region * shape.channels;
  if (!in.correlate) return maps + start * width;
  multiply<acc_t, false>(shape.channels, padded<acc_t>(last - first), shape.maps(), t + start * columns, columns, 1,
                         maps + first, width, refined + first, width);
  return refined;
}

template <typename T, typename acc_t>
struct Forward {
  const Shape& shape;
  const Inputs& in;
  const Outputs& out;
  int64_t sample;
  const Team& team;
  const ForwardScratch<T, acc_t>& scratch;

  int64_t width() const { return padded<acc_t>(shape.positions); }

  void run(acc_t* attention) const {
    const int64_t count = shape.maps(), positions = shape.positions;
    T* maps = out.maps ? static_cast<T*>(out.maps) + sample * count * positions : nullptr;
    maps_of_sample(shape, in, sample, team, scratch.maps, width(), scratch.buffer, maps);
    if (in.diversify || in.correlate) relations();
    if (!attention) return;
    merge(attention);
    write_attention(attention);
    if (shape.values) pool(attention);
  }

  void relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    transpose_maps(shape, team, scratch.maps, width(), scratch.transposed, columns);
    each_range(team, count, kPartRows, [&](int64_t first, int64_t last, int64_t) {
      Prefetcher prefetch = prefetch_alone<acc_t>(shape, team, SampleMap<T>(in.values, sample), shape.values);
      multiply_maps(first, last, shape.positions, scratch.maps, width(), scratch.transposed, columns,
                    scratch.cosines.cos, prefetch);
    });
    normalize_gram(scratch.cosines);
    if (in.diversify)
      static_cast<acc_t*>(out.diversity)[sample] =
          hinge_diversity(shape, scratch.cosines, static_cast<acc_t>(in.margin));
    if (!in.correlate) return;
    correlation(in, team, scratch.cosines, scratch.s);
    copy_out(count, count, scratch.s, columns, static_cast<acc_t*>(out.correlation) + sample * count * count, count);
    refinement_matrix<acc_t, false>(in, count, columns, scratch.s, scratch.t);
  }

  void merge(acc_t* attention) const {
    each_rectangle(team, shape.regions, shape.positions, lanes<acc_t>,
                   [&](int64_t region, int64_t last_region, int64_t first, int64_t last, int64_t worker) {
                     for (; region < last_region; ++region) {
                       const acc_t* refined =
                           refine_region(shape, in, region, first, last, scratch.t, scratch.cosines.width, scratch.maps,
                                         width(), scratch.region[worker]);
                       merge_positions(region, refined + first, first, last - first, attention);
                     }
                   });
  }

  void merge_positions(int64_t region, const acc_t* refined, int64_t first, int64_t count, acc_t* attention) const {
    const int64_t positions = shape.positions;
    if (in.merge == Merge::none) {
      copy_out(shape.channels, count, refined, width(), attention + region * shape.channels * positions + first,
               positions);
    } else {
      uint8_t* argmax = out.argmax ? out.argmax + (sample * shape.regions + region) * positions + first : nullptr;
      merge_region(in.merge, shape.channels, count, refined, width(), attention + region * positions + first, argmax);
    }
  }

  void write_attention(const acc_t* attention) const {
    const int64_t rows = merged_rows(shape, in), positions = shape.positions;
    T* copy = static_cast<T*>(out.attention);
    if (copy) copy += sample * rows * positions;
    if (static_cast<const void*>(copy) == attention) copy = nullptr;
    acc_t* sums = out.attention_sum ? static_cast<acc_t*>(out.attention_sum) + sample * rows : nullptr;
    each_range(team, rows, at_least(kFewCopies, positions), [&](int64_t first, int64_t last, int64_t) {
      if (copy)
        copy_out(last - first, positions, attention + first * positions, positions, copy + first * positions,
                 positions);
      for (int64_t a = first; sums && a < last; ++a) sums[a] = row_sum(attention + a * positions, positions);
    });
  }

  void pool(const acc_t* attention) const {
    const int64_t rows = merged_rows(shape, in);
    const SampleMap<T> values(in.values, sample, valid_positions(shape, in, sample));
    const acc_t* sums = static_cast<const acc_t*>(out.attention_sum) + sample * rows;
    T* pooled = static_cast<T*>(out.pooled) + sample * rows * shape.values;
    each_part(team, tile_parts(shape.values, kPoolChannels<acc_t>, team.workers),
              [&](int64_t first, int64_t last, int64_t worker) {
                attention_pool(shape, values, attention, sums, rows, first, last, pooled, scratch.sums[worker],
                               scratch.block_sums[worker], scratch.buffer[worker]);
              });
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
