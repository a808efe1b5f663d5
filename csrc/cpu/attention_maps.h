// Multi-channel attention for one sample: logits, activation, and their backward.
#pragma once

#include "map_gemm.h"

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

// maps [N, width] from features. Padding and positions that are not valid are -inf before the activation, hence 0 after
// it.
template <typename T, typename acc_t>
inline void attention_maps(const Shape& shape, const Inputs& in, int64_t sample, acc_t* maps, int64_t width,
                           acc_t* buffer) {
  const SampleMap<T> features(in.features, sample);
  const acc_t* weight = static_cast<const acc_t*>(in.weight);
  const acc_t* bias = static_cast<const acc_t*>(in.bias);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<acc_t>(shape, inner);
  const int64_t steps = feature_steps<acc_t>(shape, position_step);
  Prefetcher prefetch;
  for_tiles_in_memory_order(
      inner, {0, shape.groups * shape.embed, 0, shape.positions}, shape.embed, position_step,
      [&](const MapTile& next_run, int64_t tiles) { prefetch = Prefetcher(features, next_run, tiles * steps); },
      [&](const MapTile& tile) {
        const GroupRows rows(shape, tile.channel / shape.embed);
        sum_channels<false>(features, tile, weight + rows.first * shape.embed, rows.step * shape.embed, rows.count,
                            maps + rows.first * width, rows.step * width, buffer, prefetch);
      });
  const bool* valid = valid_positions(shape, in, sample);
  if (valid && count_valid(valid, shape.positions) == 0) {
    for (int64_t i = 0; i < shape.maps() * width; ++i) maps[i] = 0;
    return;
  }
  for (int64_t n = 0; n < shape.maps(); ++n) {
    acc_t* row = maps + n * width;
    const acc_t shift = bias ? bias[n] : acc_t(0);
    for (int64_t l = 0; l < shape.positions; ++l) row[l] += shift;
    for (int64_t l = 0; valid && l < shape.positions; ++l)
      if (!valid[l]) row[l] = -INFINITY;
    for (int64_t l = shape.positions; l < width; ++l) row[l] = -INFINITY;
    in.activation == Activation::softmax ? softmax_row(row, width) : sigmoid_row(row, width);
  }
}

// Turns dmaps into dlogits, in place.
template <typename acc_t>
inline void activation_backward(const Shape& shape, Activation activation, const acc_t* maps, acc_t* dmaps,
                                int64_t width) {
  for (int64_t n = 0; n < shape.maps(); ++n) {
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

// dfeatures of a sample from dlogits [N, width]; adds to dweight [N, padded D] and dbias [N]. `weight` [N, padded D] is
// scratch for a padded copy of the parameter.
template <typename T, typename acc_t>
inline void attention_maps_backward(const Shape& shape, const Inputs& in, const GradInputs& grad_inputs, int64_t sample,
                                    const acc_t* dlogits, int64_t width, acc_t* weight, acc_t* buffer, acc_t* dweight,
                                    acc_t* dbias) {
  const bool* valid = valid_positions(shape, in, sample);
  const SampleMap<T> features(in.features, sample, valid), dfeatures(grad_inputs.features, sample, valid);
  const int64_t embed = shape.embed, embed_width = padded<acc_t>(embed);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<acc_t>(shape, inner);
  const int64_t steps = feature_steps<acc_t>(shape, position_step);
  if (grad_inputs.features.data)
    copy_in(shape.maps(), embed, static_cast<const acc_t*>(in.weight), embed, weight, embed_width, embed_width);
  Prefetcher prefetch_features, prefetch_dfeatures;
  for_tiles_in_memory_order(
      inner, {0, shape.groups * embed, 0, shape.positions}, embed, position_step,
      [&](const MapTile& next_run, int64_t tiles) {
        prefetch_dfeatures = Prefetcher(dfeatures, next_run, tiles * steps);
        if (grad_inputs.weight) prefetch_features = Prefetcher(features, next_run, tiles * steps);
      },
      [&](const MapTile& tile) {
        const GroupRows rows(shape, tile.channel / embed);
        const acc_t* d = dlogits + rows.first * width;
        if (grad_inputs.features.data) {
          write_product(dfeatures, tile, weight + rows.first * embed_width, rows.step * embed_width, rows.count, d,
                        rows.step * width, buffer, prefetch_dfeatures);
          clear_invalid(dfeatures, tile);
        }
        if (grad_inputs.weight)
          sum_positions<true>(features, tile, d, rows.step * width, rows.count, dweight + rows.first * embed_width,
                              rows.step * embed_width, buffer, prefetch_features);
      });
  if (!grad_inputs.bias) return;
  for (int64_t n = 0; n < shape.maps(); ++n) dbias[n] += row_sum(dlogits + n * width, shape.positions);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
