// Backward of one sample. With f the pooled values, A the attention, m the maps, m' the refined maps:
//   dA  = dattention + (df X - [sum A > floor] <df, f>) / max(sum A, floor),  dX = A^T df / max(sum A, floor)
//   dm' = dA through the merge,   P = dm' m^T
//   dcos from P and dcorrelation through S, and from ddiversity through the hinge
//   dm  = dmaps + ((1-g) I + g S^T) dm' + Q m,   Q from dcos (gram.h)
//   then the activation, dF, dw, db.
#pragma once

#include "backward_scratch.h"
#include "forward.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename T, typename acc_t>
struct Backward {
  const Shape& shape;
  const Inputs& in;
  const Saved& saved;
  const GradOutputs& grad_outputs;
  const GradInputs& grad_inputs;
  int64_t sample;
  const Team& team;
  const BackwardScratch<T, acc_t>& scratch;
  const Partial<acc_t>& partial;

  int64_t rows() const { return merged_rows(shape, in); }
  int64_t width() const { return padded<acc_t>(shape.positions); }
  const bool* valid() const { return valid_positions(shape, in, sample); }
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
    const bool through_relations = backward_relations();
    each_range(team, shape.maps(), kPartRows, [&](int64_t first, int64_t last, int64_t) {
      sum_dmaps(first, last, through_relations);
      finish_dmaps(first, last);
    });
    if (reaches_features())
      attention_maps_backward<T>(shape, in, grad_inputs, sample, team, scratch.dmaps, width(), scratch.weight,
                                 scratch.buffer, partial.weight, partial.bias);
  }

  // Maps rounded to 16 bits are recomputed; exact ones are read back.
  void restore_maps() const {
    const int64_t count = shape.maps(), positions = shape.positions;
    if (saved.maps && sizeof(T) == sizeof(acc_t)) {
      restore(static_cast<const T*>(saved.maps) + sample * count * positions, count, scratch.maps);
    } else {
      maps_of_sample<T, acc_t>(shape, in, sample, team, scratch.maps, width(), scratch.buffer, nullptr);
    }
  }

  void restore(const T* from, int64_t count, acc_t* to) const {
    const int64_t positions = shape.positions;
    each_range(team, count, at_least(kFewCopies, positions), [&](int64_t first, int64_t last, int64_t) {
      copy_in(last - first, positions, from + first * positions, positions, to + first * width(), width(), width());
    });
  }

  void read_correlation() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    copy_in(count, count, static_cast<const acc_t*>(saved.correlation) + sample * count * count, count, scratch.s,
            columns, columns);
  }

  // dm' from the gradients of the pooled values and of A.
  void backward_pool() const {
    const int64_t count = rows();
    const bool inner = in.values.position_stride == 1;
    acc_t* dattention = needs_map_gradients() ? scratch.dattention : nullptr;
    if (grad_outputs.pooled) {
      restore_attention();
      const SampleMap<T> values(in.values, sample), dvalues(grad_inputs.values, sample, valid());
      scale_dpooled(shape, static_cast<const T*>(grad_outputs.pooled) + sample * count * shape.values, attention_sum(),
                    count, scratch.dpooled);
      attention_pool_backward(shape, team, values, dvalues, scratch.dpooled, scratch.attention, width(), count,
                              dattention, scratch.buffer);
    }
    if (!dattention) return;
    const int64_t chunks = pool_backward_chunks(shape, inner, team.workers);
    each_range(team, count, at_least(kFewCopies, width() * chunks), [&](int64_t first, int64_t last, int64_t) {
      add_terms(chunks, grad_outputs.pooled ? count : 0, first, last, width(), dattention);
      finish_dattention(first, last);
      if (in.merge != Merge::none) backward_merge(first, last);
    });
  }

  const acc_t* attention_sum() const { return static_cast<const acc_t*>(saved.attention_sum) + sample * rows(); }

  // dA, the rows `first` to `last`, from df X.
  void finish_dattention(int64_t first, int64_t last) const {
    const int64_t positions = shape.positions;
    acc_t* dattention = scratch.dattention;
    if (grad_outputs.pooled) {
      clear_invalid(valid(), positions, last - first, width(), dattention + first * width());
      normalization_backward(first, last, positions, scratch.attention, attention_sum(), width(), dattention);
    } else {
      for (int64_t i = first * width(); i < last * width(); ++i) dattention[i] = 0;
    }
    if (!grad_outputs.attention) return;
    const T* grad_attention = static_cast<const T*>(grad_outputs.attention) + sample * rows() * positions;
    for (int64_t a = first; a < last; ++a)
      for (int64_t l = 0; l < positions; ++l) dattention[a * width() + l] += to_acc(grad_attention[a * positions + l]);
  }

  // Like the maps, an attention rounded to 16 bits is recomputed, unless dX alone depends on it.
  void restore_attention() const {
    const int64_t positions = shape.positions, columns = scratch.cosines.width;
    if (sizeof(T) == sizeof(acc_t) || !needs_map_gradients())
      return restore(static_cast<const T*>(saved.attention) + sample * rows() * positions, rows(), scratch.attention);
    if (in.correlate) refinement_matrix<acc_t, false>(in, shape.maps(), columns, scratch.s, scratch.mix);
    each_task(team, shape.regions, [&](int64_t r, int64_t worker) {
      const acc_t* refined = refine_region(shape, in, r, 0, positions, scratch.mix, columns, scratch.maps, width(),
                                           scratch.region[worker]);
      merge_padded(refined, r, scratch.argmax[worker]);
    });
  }

  void merge_padded(const acc_t* refined, int64_t region, uint8_t* argmax) const {
    if (in.merge == Merge::none) {
      copy_in(shape.channels, shape.positions, refined, width(), scratch.attention + region * shape.channels * width(),
              width(), width());
    } else {
      acc_t* row = scratch.attention + region * width();
      merge_region(in.merge, shape.channels, shape.positions, refined, width(), row, argmax);
      for (int64_t l = shape.positions; l < width(); ++l) row[l] = 0;
    }
  }

  void backward_merge(int64_t first, int64_t last) const {
    const int64_t region_size = shape.channels * width();
    for (int64_t r = first; r < last; ++r) {
      const uint8_t* argmax = saved.argmax ? saved.argmax + (sample * shape.regions + r) * shape.positions : nullptr;
      merge_region_backward(in.merge, shape.channels, shape.positions, scratch.dattention + r * width(), argmax,
                            scratch.drefined + r * region_size, width());
    }
  }

  const acc_t* drefined() const { return has_refined_gradient() ? scratch.drefined : nullptr; }

  // Whether dmaps depends on the cosines; if so, computes the matrix Q that mixes the maps, in the place of S, and T^T,
  // which mixes dm', in `mix`.
  bool backward_relations() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    const bool through_s = in.correlate && (has_refined_gradient() || grad_outputs.correlation);
    const bool through_hinge = in.diversify && grad_outputs.diversity;
    if (!through_s && !through_hinge) return false;
    multiply_by_maps(through_s);
    normalize_gram(scratch.cosines);
    for (int64_t i = 0; i < count * columns; ++i) scratch.dcos[i] = 0;
    if (through_s) backward_correlation();
    if (through_hinge)
      hinge_diversity_backward(shape, scratch.cosines, static_cast<acc_t>(in.margin),
                               static_cast<const acc_t*>(grad_outputs.diversity)[sample], scratch.dcos);
    if (drefined() && in.correlate) refinement_matrix<acc_t, true>(in, count, columns, scratch.s, scratch.mix);
    cosine_gram_backward(scratch.cosines, scratch.dcos, scratch.s);
    return true;
  }

  // m m^T and, for the correlation, P = dm' m^T.
  void multiply_by_maps(bool through_s) const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width, positions = shape.positions;
    transpose_maps(shape, team, scratch.maps, width(), scratch.transposed, columns);
    each_range(team, count, kPartRows, [&](int64_t first, int64_t last, int64_t) {
      // This part is compute-bound, so prefetch what attention_maps_backward reads.
      Prefetcher prefetch = prefetch_features(in.features);
      multiply_maps(first, last, positions, scratch.maps, width(), scratch.transposed, columns, scratch.cosines.cos,
                    prefetch);
      if (through_s && drefined())
        multiply_maps(first, last, positions, drefined(), width(), scratch.transposed, columns, scratch.mix, prefetch);
    });
  }

  Prefetcher prefetch_features(const FeatureMap& map) const {
    return prefetch_alone<acc_t>(shape, team, SampleMap<T>(map, sample), shape.groups * shape.embed);
  }

  void backward_correlation() const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    const acc_t* dcorrelation = grad_outputs.correlation
                                    ? static_cast<const acc_t*>(grad_outputs.correlation) + sample * count * count
                                    : nullptr;
    correlation_backward<acc_t>(in, scratch.cosines, scratch.s, drefined() ? scratch.mix : nullptr, dcorrelation,
                                scratch.dcos, partial.relation_bias, partial.temperature);
    if (drefined() && grad_inputs.gate)
      *partial.gate += gate_gradient(shape, team, scratch.s, columns, scratch.maps, drefined(), width(), scratch.mix,
                                     scratch.region, scratch.gate_sums);
  }

  // dmaps, the rows `first` to `last`, from dm' and the cosines.
  void sum_dmaps(int64_t first, int64_t last, bool through_relations) const {
    const int64_t count = shape.maps(), columns = scratch.cosines.width;
    Prefetcher prefetch = prefetch_features(grad_inputs.features);
    acc_t* dmaps = scratch.dmaps + first * width();
    if (through_relations && drefined() && in.correlate) {
      multiply<acc_t, false>(last - first, width(), count, scratch.mix + first * columns, columns, 1, drefined(),
                             width(), dmaps, width(), prefetch);
    } else {
      for (int64_t i = 0; i < (last - first) * width(); ++i)
        dmaps[i] = drefined() ? drefined()[first * width() + i] : acc_t(0);
    }
    if (through_relations)
      multiply<acc_t, true>(last - first, width(), count, scratch.s + first * columns, columns, 1, scratch.maps,
                            width(), dmaps, width(), prefetch);
  }

  bool reaches_features() const {
    return !in.maps && (grad_inputs.features.data || grad_inputs.weight || grad_inputs.bias);
  }

  // Adds the gradient of the maps as an output to dmaps, which are then complete, and turns them into dlogits.
  void finish_dmaps(int64_t first, int64_t last) const {
    const int64_t positions = shape.positions, start = sample * shape.maps() * positions;
    const T* grad_maps = static_cast<const T*>(grad_outputs.maps);
    for (int64_t n = first; grad_maps && n < last; ++n)
      for (int64_t l = 0; l < positions; ++l)
        scratch.dmaps[n * width() + l] += to_acc(grad_maps[start + n * positions + l]);
    if (grad_inputs.maps)
      copy_out(last - first, positions, scratch.dmaps + first * width(), width(),
               static_cast<T*>(grad_inputs.maps) + start + first * positions, positions);
    if (!reaches_features()) return;
    clear_invalid(valid(), positions, last - first, width(), scratch.dmaps + first * width());
    activation_backward(in.activation, first, last, scratch.maps, scratch.dmaps, width());
  }
};

}  // namespace
}  // namespace sma::cpu::SMA_ISA
