// Multi-channel attention: logits, activation, and their gradients, for one sample.
#pragma once

#include "map_gemm.h"

namespace sma::cpu::SMA_ISA {
namespace {

// The maps that read feature group g: rows `first`, `first + step`, ... of the [N, .] matrices.
struct GroupRows {
  int64_t first, step, count;

  GroupRows(const Shape& shape, int64_t group)
      : first(shape.groups == 1 ? 0 : group),
        step(shape.groups == 1 ? 1 : shape.channels),
        count(shape.groups == 1 ? shape.maps() : shape.regions) {}
};

template <typename W>
SMA_INLINE W row_max(const W* row, int64_t width) {
  Vector<W> best = load(row);
  for (int64_t l = lanes<W>; l < width; l += lanes<W>) {
    const Vector<W> x = load(row + l);
    best = x > best ? x : best;  // a NaN reaches the result through the exponentials
  }
  return fold_lanes<W>(best, [](Vector<W> a, Vector<W> b) { return b > a ? b : a; });
}

// Softmax of a padded row. It divides: a reciprocal's rounding would be shared by the whole row, and such errors do not
// average out in the gradients of temperature and gate.
template <typename W>
SMA_INLINE void softmax_row(W* row, int64_t width) {
  const Vector<W> top = broadcast(row_max(row, width));
  const Vector<W> sums = sum_vectors<W>(width, [&](int64_t l) {
    const Vector<W> e = exponential(load(row + l) - top);
    store(e, row + l);
    return e;
  });
  const Vector<W> total = broadcast(sum_lanes<W>(sums));
  for (int64_t l = 0; l < width; l += lanes<W>) store(load(row + l) / total, row + l);
}

template <typename W>
SMA_INLINE void sigmoid_row(W* row, int64_t width) {
  for (int64_t l = 0; l < width; l += lanes<W>) store(W(1) / (W(1) + exponential(-load(row + l))), row + l);
}

// Positions of a feature group that are in work at a time: all, or where channels lie innermost as many as stay in the
// first cache.
template <typename W>
inline int64_t feature_positions(const Shape& shape, bool positions_inner) {
  const int64_t fitting = most(6144 / shape.embed, 3 * lanes<W>);
  const int64_t pieces = positions_inner ? 1 : (shape.positions + fitting - 1) / fitting;
  return padded<W>((shape.positions + pieces - 1) / pieces);
}

template <typename W>
inline int64_t feature_steps(const Shape& shape, int64_t position_step) {
  return steps_of<W>(GroupRows(shape, 0).count, least(position_step, shape.positions), shape.embed);
}

template <typename W>
inline int64_t feature_tile(const Shape& shape, const Inputs& in) {
  return shape.embed ? padded<W>(shape.embed) * feature_positions<W>(shape, in.features.position_stride == 1) : 0;
}

// maps[N, width] from features. Padding holds -inf before the activation, hence 0 after it.
template <typename T, typename W>
inline void attention_maps(const Shape& shape, const Inputs& in, int64_t sample, W* maps, int64_t width, W* tile) {
  const SampleMap<T> features(in.features, sample);
  const W* weight = static_cast<const W*>(in.weight);
  const W* bias = static_cast<const W*>(in.bias);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<W>(shape, inner);
  const int64_t steps = feature_steps<W>(shape, position_step);
  Ahead next;
  in_memory_order(
      inner, {0, shape.groups * shape.embed, 0, shape.positions}, shape.embed, position_step,
      [&](const Piece& following, int64_t pieces) { next = Ahead(features, following, pieces * steps); },
      [&](const Piece& piece) {
        const GroupRows rows(shape, piece.channel / shape.embed);
        sum_channels<false>(features, piece, weight + rows.first * shape.embed, rows.step * shape.embed, rows.count,
                            maps + rows.first * width, rows.step * width, tile, next);
      });
  for (int64_t n = 0; n < shape.maps(); ++n) {
    W* row = maps + n * width;
    const W shift = bias ? bias[n] : W(0);
    for (int64_t l = 0; l < shape.positions; ++l) row[l] += shift;
    for (int64_t l = shape.positions; l < width; ++l) row[l] = -INFINITY;
    in.activation == Activation::softmax ? softmax_row(row, width) : sigmoid_row(row, width);
  }
}

// Turns dmaps into dlogits, in place.
template <typename W>
inline void activation_backward(const Shape& shape, Activation activation, const W* maps, W* dmaps, int64_t width) {
  for (int64_t n = 0; n < shape.maps(); ++n) {
    const W* m = maps + n * width;
    W* d = dmaps + n * width;
    if (activation == Activation::softmax) {
      const Vector<W> dots = sum_vectors<W>(width, [&](int64_t l) { return load(m + l) * load(d + l); });
      const Vector<W> dot = broadcast(sum_lanes<W>(dots));
      for (int64_t l = 0; l < width; l += lanes<W>) store(load(m + l) * (load(d + l) - dot), d + l);
    } else {
      for (int64_t l = 0; l < width; l += lanes<W>) {
        const Vector<W> x = load(m + l);
        store(load(d + l) * x * (W(1) - x), d + l);
      }
    }
  }
}

// dfeatures, and this sample's part of dweight [N, padded D] and dbias [N], from dlogits [N, width]. `weight`
// [N, padded D] is scratch: rows of the parameter itself need not be whole vectors.
template <typename T, typename W>
inline void attention_maps_backward(const Shape& shape, const Inputs& in, const Gradients& out, int64_t sample,
                                    const W* dlogits, int64_t width, W* weight, W* tile, W* dweight, W* dbias) {
  const SampleMap<T> features(in.features, sample), dfeatures(out.features, sample);
  const int64_t embed = shape.embed, embed_width = padded<W>(embed);
  const bool inner = features.positions_inner();
  const int64_t position_step = feature_positions<W>(shape, inner);
  const int64_t steps = feature_steps<W>(shape, position_step);
  if (out.features.data)
    copy_in(shape.maps(), embed, static_cast<const W*>(in.weight), embed, weight, embed_width, embed_width);
  Ahead next_features, next_dfeatures;
  in_memory_order(
      inner, {0, shape.groups * embed, 0, shape.positions}, embed, position_step,
      [&](const Piece& following, int64_t pieces) {
        next_dfeatures = Ahead(dfeatures, following, pieces * steps);
        if (out.weight) next_features = Ahead(features, following, pieces * steps);
      },
      [&](const Piece& piece) {
        const GroupRows rows(shape, piece.channel / embed);
        const W* d = dlogits + rows.first * width;
        if (out.features.data)
          write_product(dfeatures, piece, weight + rows.first * embed_width, rows.step * embed_width, rows.count, d,
                        rows.step * width, tile, next_dfeatures);
        if (out.weight)
          sum_positions<true>(features, piece, d, rows.step * width, rows.count, dweight + rows.first * embed_width,
                              rows.step * embed_width, tile, next_features);
      });
  if (!out.bias) return;
  for (int64_t n = 0; n < shape.maps(); ++n) dbias[n] += sum_row(dlogits + n * width, shape.positions);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
