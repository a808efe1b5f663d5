// Multi-channel attention for one sample: logits, activation, and their backward.
#pragma once

#include "map_gemm.h"
#include "team.h"

namespace sma::cpu::SMA_ISA {
namespace {

// The maps of a feature group: rows `first`, `first + step`, ... of the [N, .] matrices.
struct GroupRows {
  int64_t first, step, count;

  GroupRows(const Shape& shape, int64_t group)
      : first(shape.groups == 1 ? 0 : group),
        step(shape.groups == 1 ? 1 : shape.channels),
        count(shape.groups == 1 ? shape.maps() : shape.regions) {}
};

template <typename acc_t>
SMA_INLINE acc_t row_max(const acc_t* row, int64_t width) {
  Vector<acc_t> max = load(row);
  for (int64_t l = lanes<acc_t>; l < width; l += lanes<acc_t>) {
    const Vector<acc_t> x = load(row + l);
    max = x > max ? x : max;  // a NaN reaches the softmax through the exponentials
  }
  return fold_lanes<acc_t>(max, [](Vector<acc_t> a, Vector<acc_t> b) { return b > a ? b : a; });
}

// Softmax of a padded row. Divides rather than multiplying by a reciprocal, whose rounding error would be common to the
// row and not average out in the gradients of temperature and gate.
template <typename acc_t>
SMA_INLINE void softmax_row(acc_t* row, int64_t width) {
  const Vector<acc_t> max = broadcast(row_max(row, width));
  const Vector<acc_t> sums = sum_vectors<acc_t>(width, [&](int64_t l) {
    const Vector<acc_t> e = exponential(load(row + l) - max);
    store(e, row + l);
    return e;
  });
  const Vector<acc_t> sum = broadcast(sum_lanes<acc_t>(sums));
  for (int64_t l = 0; l < width; l += lanes<acc_t>) store(load(row + l) / sum, row + l);
}

template <typename acc_t>
SMA_INLINE void sigmoid_row(acc_t* row, int64_t width) {
  for (int64_t l = 0; l < width; l += lanes<acc_t>) store(acc_t(1) / (acc_t(1) + exponential(-load(row + l))), row + l);
}

// Positions per tile of a feature group: all (NCHW), or as many as stay in L1 (channels_last).
template <typename acc_t>
inline int64_t feature_positions(const Shape& shape, bool positions_inner) {
  const int64_t l1_positions = max_of(6144 / shape.embed, 3 * lanes<acc_t>);
  const int64_t tiles = positions_inner ? 1 : (shape.positions + l1_positions - 1) / l1_positions;
  return padded<acc_t>((shape.positions + tiles - 1) / tiles);
}

template <typename acc_t>
inline int64_t feature_steps(const Shape& shape, int64_t position_step) {
  return product_steps<acc_t>(GroupRows(shape, 0).count, min_of(position_step, shape.positions), shape.embed);
}

template <typename acc_t>
inline int64_t feature_buffer_size(const Shape& shape, const Inputs& in) {
  return shape.embed ? padded<acc_t>(shape.embed) * feature_positions<acc_t>(shape, in.features.position_stride == 1)
                     : 0;
}

// Logits [N, width] without the bias.
template <typename T, typename acc_t>
inline void attention_logits(const Shape& shape, const Inputs& in, int64_t sample, const Team& team, acc_t* maps,
                             int64_t width, const PerWorker<acc_t>& buffers) {
  const SampleMap<T> features(in.features, sample);
  const acc_t* weight = static_cast<const acc_t*>(in.weight);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<acc_t>(shape, inner);
  const int64_t steps = feature_steps<acc_t>(shape, position_step), embed = shape.embed;
  each_rectangle(
      team, shape.groups, shape.positions, inner ? lanes<acc_t> : position_step,
      [&](int64_t group, int64_t last_group, int64_t first, int64_t last, int64_t worker) {
        Prefetcher prefetch;
        for_tiles_in_memory_order(
            inner, {group * embed, (last_group - group) * embed, first, last - first}, embed,
            min_of(position_step, last - first),
            [&](const MapTile& next_run, int64_t tiles) { prefetch = Prefetcher(features, next_run, tiles * steps); },
            [&](const MapTile& tile) {
              const GroupRows rows(shape, tile.channel / embed);
              sum_channels<false>(features, tile, weight + rows.first * embed, rows.step * embed, rows.count,
                                  maps + rows.first * width, rows.step * width, buffers[worker], prefetch);
            });
      });
}

// Turns the logits of the maps `first` to `last` into maps, in place. Padding and positions that are not valid are -inf
// before the activation, hence 0 after it.
template <typename acc_t>
inline void activate(const Shape& shape, const Inputs& in, const bool* valid, int64_t first, int64_t last, acc_t* maps,
                     int64_t width) {
  const acc_t* bias = static_cast<const acc_t*>(in.bias);
  for (int64_t n = first; n < last; ++n) {
    acc_t* row = maps + n * width;
    const acc_t shift = bias ? bias[n] : acc_t(0);
    for (int64_t l = 0; l < shape.positions; ++l) row[l] += shift;
    for (int64_t l = 0; valid && l < shape.positions; ++l)
      if (!valid[l]) row[l] = -INFINITY;
    for (int64_t l = shape.positions; l < width; ++l) row[l] = -INFINITY;
    in.activation == Activation::softmax ? softmax_row(row, width) : sigmoid_row(row, width);
    // Without a valid position, or if their logits are NaN, the whole row is NaN now.
    for (int64_t l = 0; valid && l < width; ++l)
      if (l >= shape.positions || !valid[l]) row[l] = 0;
  }
}

// Turns dmaps into dlogits, in place, for the maps `first` to `last`.
template <typename acc_t>
inline void activation_backward(Activation activation, int64_t first, int64_t last, const acc_t* maps, acc_t* dmaps,
                                int64_t width) {
  for (int64_t n = first; n < last; ++n) {
    const acc_t* m = maps + n * width;
    acc_t* d = dmaps + n * width;
    if (activation == Activation::softmax) {
      const Vector<acc_t> dots = sum_vectors<acc_t>(width, [&](int64_t l) { return load(m + l) * load(d + l); });
      const Vector<acc_t> delta = broadcast(sum_lanes<acc_t>(dots));
      for (int64_t l = 0; l < width; l += lanes<acc_t>) store(load(m + l) * (load(d + l) - delta), d + l);
    } else {
      for (int64_t l = 0; l < width; l += lanes<acc_t>) {
        const Vector<acc_t> x = load(m + l);
        store(load(d + l) * x * (acc_t(1) - x), d + l);
      }
    }
  }
}

// dfeatures of a sample, of the features in `whole`, from dlogits [N, width]; adds to dweight [N, padded D]. `weight`
// is a copy of the parameter [N, padded D]. One pass over memory.
template <typename T, typename acc_t>
inline void attention_logits_backward(const Shape& shape, const Inputs& in, const GradInputs& grad_inputs,
                                      int64_t sample, const MapTile& whole, const acc_t* dlogits, int64_t width,
                                      const acc_t* weight, acc_t* buffer, acc_t* dweight) {
  const bool* valid = valid_positions(shape, in, sample);
  const SampleMap<T> features(in.features, sample, valid), dfeatures(grad_inputs.features, sample, valid);
  const int64_t embed = shape.embed, row = padded<acc_t>(embed);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<acc_t>(shape, inner);
  const int64_t steps = feature_steps<acc_t>(shape, position_step);
  Prefetcher prefetch_features, prefetch_dfeatures;
  for_tiles_in_memory_order(
      inner, whole, min_of(embed, whole.channels), position_step,
      [&](const MapTile& next_run, int64_t tiles) {
        prefetch_dfeatures = Prefetcher(dfeatures, next_run, tiles * steps);
        if (grad_inputs.weight) prefetch_features = Prefetcher(features, next_run, tiles * steps);
      },
      [&](const MapTile& tile) {
        const GroupRows rows(shape, tile.channel / embed);
        const acc_t* d = dlogits + rows.first * width;
        const int64_t start = rows.first * row + tile.channel % embed;
        if (grad_inputs.features.data) {
          write_product(dfeatures, tile, weight + start, rows.step * row, rows.count, d, rows.step * width, buffer,
                        prefetch_dfeatures);
          clear_invalid(dfeatures, tile);
        }
        if (grad_inputs.weight)
          sum_positions<true>(features, tile, d, rows.step * width, rows.count, dweight + start, rows.step * row,
                              buffer, prefetch_features);
      });
}

// All of them, and adds to dbias [N]. `weight` [N, padded D] is scratch.
template <typename T, typename acc_t>
inline void attention_maps_backward(const Shape& shape, const Inputs& in, const GradInputs& grad_inputs, int64_t sample,
                                    const Team& team, const acc_t* dlogits, int64_t width, acc_t* weight,
                                    const PerWorker<acc_t>& buffers, acc_t* dweight, acc_t* dbias) {
  const int64_t embed = shape.embed, row = padded<acc_t>(embed), positions = shape.positions;
  if (grad_inputs.features.data)
    copy_in(shape.maps(), embed, static_cast<const acc_t*>(in.weight), embed, weight, row, row);
  each_rectangle(team, shape.groups, embed, lanes<acc_t>,
                 [&](int64_t group, int64_t last_group, int64_t first, int64_t last, int64_t worker) {
                   // Features are divided only if the part is one group: they are adjacent.
                   const int64_t channels = (last_group - group - 1) * embed + last - first;
                   attention_logits_backward<T>(shape, in, grad_inputs, sample,
                                                {group * embed + first, channels, 0, positions}, dlogits, width, weight,
                                                buffers[worker], dweight);
                 });
  if (!grad_inputs.bias) return;
  for (int64_t n = 0; n < shape.maps(); ++n) dbias[n] += row_sum(dlogits + n * width, positions);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
