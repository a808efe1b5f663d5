// Forward of one sample: maps, Gram, diversity, correlation, refinement and merge; then pooling for a range of
// channels.
#pragma once

#include "correlation.h"
#include "kernels.h"
#include "merge.h"
#include "pool.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
struct ForwardScratch {
  acc_t* maps;        // [N, padded L]
  acc_t* transposed;  // [L, padded N], for the Gram only
  acc_t* buffer;      // a tile of features or values
  acc_t* s;           // [N, padded N]
  acc_t* t;           // [N, padded N]
  acc_t* region;      // [K, padded L], refined maps of one region
  Cosines<acc_t> cosines;
  acc_t* sums;        // [rows, kPoolChunk]
  acc_t* block_sums;  // [rows, kPoolChunk]

  ForwardScratch(Arena& arena, const Shape& shape, const Inputs& in)
      : maps(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.positions))),
        transposed(arena.take<acc_t>(shape.positions * padded<acc_t>(shape.maps()))),
        buffer(arena.take<acc_t>(max_of(pool_buffer_size<acc_t>(shape), feature_buffer_size<acc_t>(shape, in)))),
        s(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        t(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        region(arena.take<acc_t>(shape.channels * padded<acc_t>(shape.positions))),
        cosines(arena, shape),
        sums(arena.take<acc_t>(merged_rows(shape, in) * kPoolChunk)),
        block_sums(arena.take<acc_t>(merged_rows(shape, in) * kPoolChunk)) {}
};

// maps [N, width] of a sample, from features or from the caller.
template <typename T, typename acc_t>
inline void maps_of_sample(const Shape& shape, const Inputs& in, int64_t sample, acc_t* maps, int64_t width,
                           acc_t* buffer) {
  if (in.maps) {
    const T* sample_maps = static_cast<const T*>(in.maps) + sample * shape.maps() * shape.positions;
    copy_in(shape.maps(), shape.positions, sample_maps, shape.positions, maps, width, width);
  } else {
    attention_maps<T>(shape, in, sample, maps, width, buffer);
  }
}

// m' [K, width] of one region, with the refinement matrix `t` [N, columns]; the maps themselves without a correlation.
template <typename acc_t>
inline const acc_t* refine_region(const Shape& shape, const Inputs& in, int64_t region, const acc_t* t, int64_t columns,
                                  const acc_t* maps, int64_t width, acc_t* refined) {
  const int64_t first = region * shape.channels;
  if (!in.correlate) return maps + first * width;
  multiply<acc_t, false>(shape.channels, width, shape.maps(), t + first * columns, columns, 1, maps, width, refined,
                         width);
  return refined;
}

template <typename T, typename acc_t>
struct Forward {
  const Shape& shape;
  const Inputs& in;
  const Outputs& out;
  int64_t sample;
  const ForwardScratch<T, acc_t>& scratch;

  int64_t width() const { return padded<acc_t>(shape.positions); }

  void maps_to_attention(acc_t* attention) const {
    const int64_t count = shape.maps(), positions = shape.positions;
    maps_of_sample<T>(shape, in, sample, scratch.maps, width(), scratch.buffer);
    if (out.maps)
      copy_out(count, positions, scratch.maps, width(), static_cast<T*>(out.maps) + sample * count * positions,
               positions);
    if (in.diversify || in.correlate) relations();
    if (!attention) return;
    for (int64_t r = 0; r < shape.regions; ++r)
      merge(r, refine_region(shape, in, r, scratch.t, scratch.cosines.width, scratch.maps, width(), scratch.region),
            attention);
    write_attention(attention);
  }

  void relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    transpose<acc_t>(count, shape.positions, scratch.maps, width(), scratch.transposed, columns, columns);
    Prefetcher prefetch_values = prefetch_start(SampleMap<T>(in.values, sample), shape.values, shape.positions,
                                                product_steps<acc_t>(count, count, shape.positions));
    cosine_gram(shape, scratch.maps, width(), scratch.transposed, scratch.cosines, prefetch_values);
    if (in.diversify)
      static_cast<acc_t*>(out.diversity)[sample] =
          hinge_diversity(shape, scratch.cosines, static_cast<acc_t>(in.margin));
    if (!in.correlate) return;
    correlation(in, scratch.cosines, scratch.s);
    copy_out(count, count, scratch.s, columns, static_cast<acc_t*>(out.correlation) + sample * count * count, count);
    refinement_matrix<acc_t, false>(in, count, columns, scratch.s, scratch.t);
  }

  void merge(int64_t region, const acc_t* maps, acc_t* attention) const {
    const int64_t positions = shape.positions;
    if (in.merge == Merge::none) {
      copy_out(shape.channels, positions, maps, width(), attention + region * shape.channels * positions, positions);
    } else {
      uint8_t* argmax = out.argmax ? out.argmax + (sample * shape.regions + region) * positions : nullptr;
      merge_region(in.merge, shape.channels, positions, maps, width(), attention + region * positions, argmax);
    }
  }

  void write_attention(const acc_t* attention) const {
    const int64_t rows = merged_rows(shape, in), positions = shape.positions;
    if (out.attention && out.attention != static_cast<const void*>(attention - sample * rows * positions))
      copy_out(rows, positions, attention, positions, static_cast<T*>(out.attention) + sample * rows * positions,
               positions);
    if (!out.attention_sum) return;
    acc_t* sums = static_cast<acc_t*>(out.attention_sum) + sample * rows;
    for (int64_t a = 0; a < rows; ++a) sums[a] = row_sum(attention + a * positions, positions);
  }

  void pool(const acc_t* attention, int64_t first, int64_t last) const {
    const int64_t rows = merged_rows(shape, in);
    const SampleMap<T> values(in.values, sample, valid_positions(shape, in, sample));
    attention_pool<T>(shape, values, attention, static_cast<const acc_t*>(out.attention_sum) + sample * rows, rows,
                      first, last, static_cast<T*>(out.pooled) + sample * rows * shape.values, scratch.sums,
                      scratch.block_sums, scratch.buffer);
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
