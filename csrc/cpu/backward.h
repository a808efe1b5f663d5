// The backward of one sample. With f the pooled values, A the attention, m the maps, m' the refined ones:
//   dA  = dattention + (df X - [sum A > floor] <df, f>) / max(sum A, floor),  dX = A^T df / max(sum A, floor)
//   dm' = dA through the merge,   P = dm' m^T
//   dcos from P and dcorrelation through S, and from ddiversity through the hinge
//   dm  = dmaps + ((1-g) I + g S^T) dm' + Q m,   Q from dcos (gram.h)
//   then the activation, dF, dw, db.
#pragma once

#include "forward.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename W>
struct BackwardScratch {
  W* maps;          // m [N, padded L]
  W* dmaps;         // dm [N, padded L]
  W* drefined;      // dm' [N, padded L]
  W* attention;     // A [rows, padded L]
  W* dattention;    // dA [rows, padded L]; is drefined with Merge::none
  W* region;        // [K, padded L], refined maps of one region, or S m - m
  uint8_t* winner;  // [L], of one region
  W* s;             // [N, padded N]
  W* mix;           // P, then other matrices [N, padded N]
  // While a feature map is read or written:
  W* tile;     // a piece of it
  W* dpooled;  // [rows, dpooled_width], for values
  W* weight;   // [N, padded D], for features
  // In between, in the same place:
  W* transposed;  // m^T [L, padded N]
  W* dcos;        // [N, padded N]
  Cosines<W> cosines;

  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in)
      : BackwardScratch(arena, shape, in, padded<W>(shape.positions), padded<W>(shape.maps())) {}

 private:
  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in, int64_t width, int64_t columns)
      : maps(arena.take<W>(shape.maps() * width)),
        dmaps(arena.take<W>(shape.maps() * width)),
        drefined(arena.take<W>(shape.maps() * width)),
        attention(arena.take<W>(merged_rows(shape, in) * width)),
        dattention(in.merge == Merge::none ? drefined : arena.take<W>(shape.regions * width)),
        region(arena.take<W>(shape.channels * width)),
        winner(arena.take<uint8_t>(shape.positions)),
        s(arena.take<W>(shape.maps() * columns)),
        mix(arena.take<W>(shape.maps() * columns)),
        cosines(shape) {
    Arena of_maps = arena, of_features = arena;
    tile = of_features.take<W>(most(pool_backward_tile<W>(shape), feature_tile<W>(shape, in)));
    Arena of_values = of_features;
    dpooled = of_values.take<W>(merged_rows(shape, in) * dpooled_width<W>(shape));
    weight = of_features.take<W>(shape.maps() * padded<W>(shape.embed));
    transposed = of_maps.take<W>(shape.positions * columns);
    dcos = of_maps.take<W>(shape.maps() * columns);
    cosines.take_from(of_maps);
    arena.used = most(of_values.used, most(of_features.used, of_maps.used));
  }
};

// Sums over samples of the parameter gradients, rows padded to whole vectors.
template <typename W>
struct Partial {
  W* weight;         // [N, padded D]
  W* bias;           // [N]
  W* relation_bias;  // [N, padded N]
  W* temperature;
  W* gate;

  Partial(Arena& arena, const Shape& shape)
      : weight(arena.take<W>(shape.maps() * padded<W>(shape.embed))),
        bias(arena.take<W>(shape.maps())),
        relation_bias(arena.take<W>(shape.maps() * padded<W>(shape.maps()))),
        temperature(arena.take<W>(1)),
        gate(arena.take<W>(1)) {}
};

template <typename T, typename W>
struct Backward {
  const Shape& shape;
  const Inputs& in;
  const Saved& saved;
  const Cotangents& given;
  const Gradients& out;
  int64_t sample;
  const BackwardScratch<T, W>& scratch;
  const Partial<W>& partial;

  int64_t rows() const { return merged_rows(shape, in); }
  int64_t width() const { return padded<W>(shape.positions); }
  bool refined_gradient() const { return given.pooled || given.attention; }
  bool beyond_values() const {
    return out.features.data || out.maps || out.weight || out.bias || out.temperature || out.gate || out.relation_bias;
  }

  void run() const {
    if (beyond_values()) {
      read_maps();
      if (in.correlate) read_correlation();
    }
    if (refined_gradient()) through_pool();
    if (!beyond_values()) return;
    if (refined_gradient() && in.merge != Merge::none) through_merge();
    through_relations();
    finish_maps();
  }

  void through_pool() const {
    const int64_t count = rows(), positions = shape.positions;
    W* dattention = beyond_values() ? scratch.dattention : nullptr;
    if (given.pooled) {
      read_attention();
      const W* sum = static_cast<const W*>(saved.attention_sum) + sample * count;
      scale_dpooled(shape, static_cast<const T*>(given.pooled) + sample * count * shape.values, sum, count,
                    scratch.dpooled);
      attention_pool_backward(shape, SampleMap<T>(in.values, sample), SampleMap<T>(out.values, sample), scratch.dpooled,
                              scratch.attention, width(), count, dattention, scratch.tile);
      if (dattention) normalisation_backward(count, positions, scratch.attention, sum, width(), dattention);
    } else if (dattention) {
      for (int64_t i = 0; i < count * width(); ++i) dattention[i] = 0;
    }
    if (!given.attention || !dattention) return;
    const T* direct = static_cast<const T*>(given.attention) + sample * count * positions;
    for (int64_t a = 0; a < count; ++a)
      for (int64_t l = 0; l < positions; ++l) dattention[a * width() + l] += to_wide(direct[a * positions + l]);
  }

  // Like the maps, an attention that was rounded is derived again where more than dX depends on it.
  void read_attention() const {
    const int64_t count = rows(), positions = shape.positions, columns = scratch.cosines.width;
    if (sizeof(T) == sizeof(W) || !beyond_values()) {
      copy_in(count, positions, static_cast<const T*>(saved.attention) + sample * count * positions, positions,
              scratch.attention, width(), width());
      return;
    }
    if (in.correlate) refinement<W, false>(in, shape.maps(), columns, scratch.s, scratch.mix);
    for (int64_t r = 0; r < shape.regions; ++r) {
      const W* refined = refined_region(shape, in, r, scratch.mix, columns, scratch.maps, width(), scratch.region);
      merge_padded(refined, r);
    }
  }

  void merge_padded(const W* refined, int64_t region) const {
    if (in.merge == Merge::none) {
      copy_in(shape.channels, shape.positions, refined, width(), scratch.attention + region * shape.channels * width(),
              width(), width());
    } else {
      W* row = scratch.attention + region * width();
      merge_region(in.merge, shape.channels, shape.positions, refined, width(), row, scratch.winner);
      for (int64_t l = shape.positions; l < width(); ++l) row[l] = 0;
    }
  }

  void through_merge() const {
    const int64_t region_size = shape.channels * width();
    for (int64_t r = 0; r < shape.regions; ++r) {
      const uint8_t* winner = saved.winner ? saved.winner + (sample * shape.regions + r) * shape.positions : nullptr;
      merge_region_backward(in.merge, shape.channels, shape.positions, scratch.dattention + r * width(), winner,
                            scratch.drefined + r * region_size, width());
    }
  }

  // dmaps before the activation's gradient, except what arrived for the maps themselves.
  void through_relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width, positions = shape.positions;
    const bool through_s = in.correlate && (refined_gradient() || given.correlation);
    const bool through_hinge = in.diversify && given.diversity;
    const W* arrived = refined_gradient() ? scratch.drefined : nullptr;
    if (!through_s && !through_hinge) {
      for (int64_t i = 0; i < count * width(); ++i) scratch.dmaps[i] = arrived ? arrived[i] : W(0);
      return;
    }
    // Nothing here is read from memory: meanwhile comes what finish_maps will need.
    const int64_t feature_channels = shape.groups * shape.embed, steps = steps_of<W>(count, count, positions);
    Ahead features = start_ahead(SampleMap<T>(in.features, sample), feature_channels, positions, steps);
    Ahead dfeatures = start_ahead(SampleMap<T>(out.features, sample), feature_channels, positions, steps);
    transpose<W>(count, positions, scratch.maps, width(), scratch.transposed, columns, columns);
    cosine_gram(shape, scratch.maps, width(), scratch.transposed, scratch.cosines, features);
    for (int64_t i = 0; i < count * columns; ++i) scratch.dcos[i] = 0;
    if (through_s) through_correlation(arrived, features);
    if (through_hinge)
      hinge_diversity_backward(shape, scratch.cosines, static_cast<W>(in.margin),
                               static_cast<const W*>(given.diversity)[sample], scratch.dcos);
    if (arrived && in.correlate) {
      refinement<W, true>(in, count, columns, scratch.s, scratch.mix);
      multiply<W, false>(count, width(), count, scratch.mix, columns, 1, arrived, width(), scratch.dmaps, width(),
                         dfeatures);
    } else {
      for (int64_t i = 0; i < count * width(); ++i) scratch.dmaps[i] = arrived ? arrived[i] : W(0);
    }
    cosine_gram_backward(scratch.cosines, scratch.dcos, scratch.mix);
    multiply<W, true>(count, width(), count, scratch.mix, columns, 1, scratch.maps, width(), scratch.dmaps, width(),
                      dfeatures);
  }

  // Maps that were rounded to 16 bits are derived again; exact ones are read back.
  void read_maps() const {
    const int64_t count = shape.maps(), positions = shape.positions;
    if (saved.maps && sizeof(T) == sizeof(W)) {
      copy_in(count, positions, static_cast<const T*>(saved.maps) + sample * count * positions, positions, scratch.maps,
              width(), width());
    } else {
      maps_of_sample<T>(shape, in, sample, scratch.maps, width(), scratch.tile);
    }
  }

  void read_correlation() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    copy_in(count, count, static_cast<const W*>(saved.correlation) + sample * count * count, count, scratch.s, columns,
            columns);
  }

  void through_correlation(const W* arrived, Ahead& next) const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    if (arrived)
      multiply<W, false>(count, columns, shape.positions, arrived, width(), 1, scratch.transposed, columns, scratch.mix,
                         columns, next);
    const W* dcorrelation =
        given.correlation ? static_cast<const W*>(given.correlation) + sample * count * count : nullptr;
    correlation_backward<W>(in, scratch.cosines, scratch.s, arrived ? scratch.mix : nullptr, dcorrelation, scratch.dcos,
                            partial.relation_bias, partial.temperature);
    if (arrived && out.gate)
      *partial.gate +=
          gate_gradient(shape, scratch.s, columns, scratch.maps, arrived, width(), scratch.mix, scratch.region, next);
  }

  void finish_maps() const {
    const int64_t count = shape.maps(), positions = shape.positions;
    if (given.maps) {
      const T* direct = static_cast<const T*>(given.maps) + sample * count * positions;
      for (int64_t n = 0; n < count; ++n)
        for (int64_t l = 0; l < positions; ++l) scratch.dmaps[n * width() + l] += to_wide(direct[n * positions + l]);
    }
    if (out.maps)
      copy_out(count, positions, scratch.dmaps, width(), static_cast<T*>(out.maps) + sample * count * positions,
               positions);
    if (in.maps || !(out.features.data || out.weight || out.bias)) return;
    activation_backward(shape, in.activation, scratch.maps, scratch.dmaps, width());
    attention_maps_backward<T>(shape, in, out, sample, scratch.dmaps, width(), scratch.weight, scratch.tile,
                               partial.weight, partial.bias);
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
