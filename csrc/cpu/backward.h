// Backward of one sample. With f the pooled values, A the attention, m the maps, m' the refined maps:
//   dA  = dattention + (df X - [sum A > floor] <df, f>) / max(sum A, floor),  dX = A^T df / max(sum A, floor)
//   dm' = dA through the merge,   P = dm' m^T
//   dcos from P and dcorrelation through S, and from ddiversity through the hinge
//   dm  = dmaps + ((1-g) I + g S^T) dm' + Q m,   Q from dcos (gram.h)
//   then the activation, dF, dw, db.
#pragma once

#include "forward.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
struct BackwardScratch {
  acc_t* maps;        // m [N, padded L]
  acc_t* dmaps;       // dm [N, padded L]
  acc_t* drefined;    // dm' [N, padded L]
  acc_t* attention;   // A [rows, padded L]
  acc_t* dattention;  // dA [rows, padded L]; is drefined with Merge::none
  acc_t* region;      // [K, padded L], refined maps of one region, or S m - m
  uint8_t* argmax;    // [L], of one region
  acc_t* s;           // [N, padded N]
  acc_t* mix;         // P, then other matrices [N, padded N]
  // While a feature map is read or written:
  acc_t* buffer;   // a tile of it
  acc_t* dpooled;  // [rows, dpooled_width], for values
  acc_t* weight;   // [N, padded D], for features
  // In between, in the same memory:
  acc_t* transposed;  // m^T [L, padded N]
  acc_t* dcos;        // [N, padded N]
  Cosines<acc_t> cosines;

  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in)
      : BackwardScratch(arena, shape, in, padded<acc_t>(shape.positions), padded<acc_t>(shape.maps())) {}

 private:
  BackwardScratch(Arena& arena, const Shape& shape, const Inputs& in, int64_t width, int64_t columns)
      : maps(arena.take<acc_t>(shape.maps() * width)),
        dmaps(arena.take<acc_t>(shape.maps() * width)),
        drefined(arena.take<acc_t>(shape.maps() * width)),
        attention(arena.take<acc_t>(merged_rows(shape, in) * width)),
        dattention(in.merge == Merge::none ? drefined : arena.take<acc_t>(shape.regions * width)),
        region(arena.take<acc_t>(shape.channels * width)),
        argmax(arena.take<uint8_t>(shape.positions)),
        s(arena.take<acc_t>(shape.maps() * columns)),
        mix(arena.take<acc_t>(shape.maps() * columns)),
        cosines(shape) {
    Arena of_maps = arena, of_features = arena;
    buffer =
        of_features.take<acc_t>(max_of(pool_backward_buffer_size<acc_t>(shape), feature_buffer_size<acc_t>(shape, in)));
    Arena of_values = of_features;
    dpooled = of_values.take<acc_t>(merged_rows(shape, in) * dpooled_width<acc_t>(shape));
    weight = of_features.take<acc_t>(shape.maps() * padded<acc_t>(shape.embed));
    transposed = of_maps.take<acc_t>(shape.positions * columns);
    dcos = of_maps.take<acc_t>(shape.maps() * columns);
    cosines.take_from(of_maps);
    arena.used = max_of(of_values.used, max_of(of_features.used, of_maps.used));
  }
};

// Parameter gradients summed over samples, rows padded to whole vectors.
template <typename acc_t>
struct Partial {
  acc_t* weight;         // [N, padded D]
  acc_t* bias;           // [N]
  acc_t* relation_bias;  // [N, padded N]
  acc_t* temperature;
  acc_t* gate;

  Partial(Arena& arena, const Shape& shape)
      : weight(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.embed))),
        bias(arena.take<acc_t>(shape.maps())),
        relation_bias(arena.take<acc_t>(shape.maps() * padded<acc_t>(shape.maps()))),
        temperature(arena.take<acc_t>(1)),
        gate(arena.take<acc_t>(1)) {}
};

template <typename T, typename acc_t>
struct Backward {
  const Shape& shape;
  const Inputs& in;
  const Saved& saved;
  const GradOutputs& grad_outputs;
  const GradInputs& grad_inputs;
  int64_t sample;
  const BackwardScratch<T, acc_t>& scratch;
  const Partial<acc_t>& partial;

  int64_t rows() const { return merged_rows(shape, in); }
  int64_t width() const { return padded<acc_t>(shape.positions); }
  bool has_refined_gradient() const { return grad_outputs.pooled || grad_outputs.attention; }
  bool needs_map_gradients() const {
    return grad_inputs.features.data || grad_inputs.maps || grad_inputs.weight || grad_inputs.bias ||
           grad_inputs.temperature || grad_inputs.gate || grad_inputs.relation_bias;
  }

  void run() const {
    if (needs_map_gradients()) {
      restore_maps();
      if (in.correlate) read_correlation();
    }
    if (has_refined_gradient()) backward_pool();
    if (!needs_map_gradients()) return;
    if (has_refined_gradient() && in.merge != Merge::none) backward_merge();
    backward_relations();
    backward_maps();
  }

  void backward_pool() const {
    const int64_t count = rows(), positions = shape.positions;
    acc_t* dattention = needs_map_gradients() ? scratch.dattention : nullptr;
    if (grad_outputs.pooled) {
      restore_attention();
      const acc_t* sum = static_cast<const acc_t*>(saved.attention_sum) + sample * count;
      scale_dpooled(shape, static_cast<const T*>(grad_outputs.pooled) + sample * count * shape.values, sum, count,
                    scratch.dpooled);
      const bool* valid = valid_positions(shape, in, sample);
      const SampleMap<T> values(in.values, sample), dvalues(grad_inputs.values, sample, valid);
      attention_pool_backward(shape, values, dvalues, scratch.dpooled, scratch.attention, width(), count, dattention,
                              scratch.buffer);
      if (dattention) {
        clear_invalid(valid, positions, count, width(), dattention);
        normalization_backward(count, positions, scratch.attention, sum, width(), dattention);
      }
    } else if (dattention) {
      for (int64_t i = 0; i < count * width(); ++i) dattention[i] = 0;
    }
    if (!grad_outputs.attention || !dattention) return;
    const T* grad_attention = static_cast<const T*>(grad_outputs.attention) + sample * count * positions;
    for (int64_t a = 0; a < count; ++a)
      for (int64_t l = 0; l < positions; ++l) dattention[a * width() + l] += to_acc(grad_attention[a * positions + l]);
  }

  // Like the maps, an attention rounded to 16 bits is recomputed, unless dX alone depends on it.
  void restore_attention() const {
    const int64_t count = rows(), positions = shape.positions, columns = scratch.cosines.width;
    if (sizeof(T) == sizeof(acc_t) || !needs_map_gradients()) {
      copy_in(count, positions, static_cast<const T*>(saved.attention) + sample * count * positions, positions,
              scratch.attention, width(), width());
      return;
    }
    if (in.correlate) refinement_matrix<acc_t, false>(in, shape.maps(), columns, scratch.s, scratch.mix);
    for (int64_t r = 0; r < shape.regions; ++r) {
      const acc_t* refined = refine_region(shape, in, r, scratch.mix, columns, scratch.maps, width(), scratch.region);
      merge_padded(refined, r);
    }
  }

  void merge_padded(const acc_t* refined, int64_t region) const {
    if (in.merge == Merge::none) {
      copy_in(shape.channels, shape.positions, refined, width(), scratch.attention + region * shape.channels * width(),
              width(), width());
    } else {
      acc_t* row = scratch.attention + region * width();
      merge_region(in.merge, shape.channels, shape.positions, refined, width(), row, scratch.argmax);
      for (int64_t l = shape.positions; l < width(); ++l) row[l] = 0;
    }
  }

  void backward_merge() const {
    const int64_t region_size = shape.channels * width();
    for (int64_t r = 0; r < shape.regions; ++r) {
      const uint8_t* argmax = saved.argmax ? saved.argmax + (sample * shape.regions + r) * shape.positions : nullptr;
      merge_region_backward(in.merge, shape.channels, shape.positions, scratch.dattention + r * width(), argmax,
                            scratch.drefined + r * region_size, width());
    }
  }

  // dmaps through refinement, correlation and diversity; backward_maps adds the gradient of the maps as an output.
  void backward_relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width, positions = shape.positions;
    const bool through_s = in.correlate && (has_refined_gradient() || grad_outputs.correlation);
    const bool through_hinge = in.diversify && grad_outputs.diversity;
    const acc_t* drefined = has_refined_gradient() ? scratch.drefined : nullptr;
    if (!through_s && !through_hinge) {
      for (int64_t i = 0; i < count * width(); ++i) scratch.dmaps[i] = drefined ? drefined[i] : acc_t(0);
      return;
    }
    // This part is compute-bound, so prefetch what backward_maps reads.
    const int64_t feature_channels = shape.groups * shape.embed, steps = product_steps<acc_t>(count, count, positions);
    Prefetcher prefetch_features =
        prefetch_start(SampleMap<T>(in.features, sample), feature_channels, positions, steps);
    Prefetcher prefetch_dfeatures =
        prefetch_start(SampleMap<T>(grad_inputs.features, sample), feature_channels, positions, steps);
    transpose<acc_t>(count, positions, scratch.maps, width(), scratch.transposed, columns, columns);
    cosine_gram(shape, scratch.maps, width(), scratch.transposed, scratch.cosines, prefetch_features);
    for (int64_t i = 0; i < count * columns; ++i) scratch.dcos[i] = 0;
    if (through_s) backward_correlation(drefined, prefetch_features);
    if (through_hinge)
      hinge_diversity_backward(shape, scratch.cosines, static_cast<acc_t>(in.margin),
                               static_cast<const acc_t*>(grad_outputs.diversity)[sample], scratch.dcos);
    if (drefined && in.correlate) {
      refinement_matrix<acc_t, true>(in, count, columns, scratch.s, scratch.mix);
      multiply<acc_t, false>(count, width(), count, scratch.mix, columns, 1, drefined, width(), scratch.dmaps, width(),
                             prefetch_dfeatures);
    } else {
      for (int64_t i = 0; i < count * width(); ++i) scratch.dmaps[i] = drefined ? drefined[i] : acc_t(0);
    }
    cosine_gram_backward(scratch.cosines, scratch.dcos, scratch.mix);
    multiply<acc_t, true>(count, width(), count, scratch.mix, columns, 1, scratch.maps, width(), scratch.dmaps, width(),
                          prefetch_dfeatures);
  }

  // Maps rounded to 16 bits are recomputed; exact ones are read back.
  void restore_maps() const {
    const int64_t count = shape.maps(), positions = shape.positions;
    if (saved.maps && sizeof(T) == sizeof(acc_t)) {
      copy_in(count, positions, static_cast<const T*>(saved.maps) + sample * count * positions, positions, scratch.maps,
              width(), width());
    } else {
      maps_of_sample<T>(shape, in, sample, scratch.maps, width(), scratch.buffer);
    }
  }

  void read_correlation() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    copy_in(count, count, static_cast<const acc_t*>(saved.correlation) + sample * count * count, count, scratch.s,
            columns, columns);
  }

  void backward_correlation(const acc_t* drefined, Prefetcher& prefetch) const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    if (drefined)
      multiply<acc_t, false>(count, columns, shape.positions, drefined, width(), 1, scratch.transposed, columns,
                             scratch.mix, columns, prefetch);
    const acc_t* dcorrelation = grad_outputs.correlation
                                    ? static_cast<const acc_t*>(grad_outputs.correlation) + sample * count * count
                                    : nullptr;
    correlation_backward<acc_t>(in, scratch.cosines, scratch.s, drefined ? scratch.mix : nullptr, dcorrelation,
                                scratch.dcos, partial.relation_bias, partial.temperature);
    if (drefined && grad_inputs.gate)
      *partial.gate += gate_gradient(shape, scratch.s, columns, scratch.maps, drefined, width(), scratch.mix,
                                     scratch.region, prefetch);
  }

  void backward_maps() const {
    const int64_t count = shape.maps(), positions = shape.positions;
    if (grad_outputs.maps) {
      const T* grad_maps = static_cast<const T*>(grad_outputs.maps) + sample * count * positions;
      for (int64_t n = 0; n < count; ++n)
        for (int64_t l = 0; l < positions; ++l) scratch.dmaps[n * width() + l] += to_acc(grad_maps[n * positions + l]);
    }
    if (grad_inputs.maps)
      copy_out(count, positions, scratch.dmaps, width(), static_cast<T*>(grad_inputs.maps) + sample * count * positions,
               positions);
    if (in.maps || !(grad_inputs.features.data || grad_inputs.weight || grad_inputs.bias)) return;
    clear_invalid(valid_positions(shape, in, sample), positions, count, width(), scratch.dmaps);
    activation_backward(shape, in.activation, scratch.maps, scratch.dmaps, width());
    attention_maps_backward<T>(shape, in, grad_inputs, sample, scratch.dmaps, width(), scratch.weight, scratch.buffer,
                               partial.weight, partial.bias);
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
