// Multi-channel attention: logits, activation, and their gradients, for one sample.
#pragma once

#include "matrix.h"

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
  W result = best[0];
  for (int i = 1; i < lanes<W>; ++i) result = best[i] > result ? best[i] : result;
  return result;
}

// Softmax of a padded row. It divides: a reciprocal's rounding would be shared by the whole row, and such errors do not
// average out in the gradients of temperature and gate.
template <typename W>
SMA_INLINE void softmax_row(W* row, int64_t width) {
  const Vector<W> top = broadcast(row_max(row, width));
  Vector<W> sums{};
  for (int64_t l = 0; l < width; l += lanes<W>) {
    const Vector<W> e = exponential(load(row + l) - top);
    store(e, row + l);
    sums += e;
  }
  const Vector<W> total = broadcast(sum_lanes<W>(sums));
  for (int64_t l = 0; l < width; l += lanes<W>) store(load(row + l) / total, row + l);
}

template <typename W>
SMA_INLINE void sigmoid_row(W* row, int64_t width) {
  for (int64_t l = 0; l < width; l += lanes<W>) store(W(1) / (W(1) + exponential(-load(row + l))), row + l);
}

// maps[N, width] from features. Padding holds -inf before the activation, hence 0 after it.
template <typename T, typename W>
inline void attention_maps(const Shape& shape, const Inputs& in, int64_t sample, W* maps, int64_t width, W* feature) {
  const SampleMap<T> features(in.features, sample);
  const W* weight = static_cast<const W*>(in.weight);
  const W* bias = static_cast<const W*>(in.bias);
  for (int64_t g = 0; g < shape.groups; ++g) {
    const GroupRows rows(shape, g);
    read_channels(features, g * shape.embed, shape.embed, 0, shape.positions, feature, width);
    multiply<W, false>(rows.count, width, shape.embed, weight + rows.first * shape.embed, rows.step * shape.embed, 1,
                       feature, width, maps + rows.first * width, rows.step * width);
  }
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
      Vector<W> dots{};
      for (int64_t l = 0; l < width; l += lanes<W>) dots += load(m + l) * load(d + l);
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

// dfeatures, and this sample's part of dweight [N, padded D] and dbias [N], from dlogits [N, width].
template <typename T, typename W>
inline void attention_maps_backward(const Shape& shape, const Inputs& in, const Gradients& out, int64_t sample,
                                    const W* dlogits, int64_t width, W* feature, W* transposed, W* dweight, W* dbias) {
  const SampleMap<T> features(in.features, sample), dfeatures(out.features, sample);
  const W* weight = static_cast<const W*>(in.weight);
  const int64_t embed = shape.embed, embed_width = padded<W>(embed);
  for (int64_t g = 0; g < shape.groups; ++g) {
    const GroupRows rows(shape, g);
    const W* d = dlogits + rows.first * width;
    if (out.features.data) {
      multiply<W, false>(embed, width, rows.count, weight + rows.first * embed, 1, rows.step * embed, d,
                         rows.step * width, feature, width);
      write_channels(feature, width, dfeatures, g * embed, embed, shape.positions);
    }
    if (out.weight) {
      read_positions(features, g * embed, embed, 0, shape.positions, transposed, embed_width);
      multiply<W, true>(rows.count, embed_width, shape.positions, d, rows.step * width, 1, transposed, embed_width,
                        dweight + rows.first * embed_width, rows.step * embed_width);
    }
  }
  if (!out.bias) return;
  for (int64_t n = 0; n < shape.maps(); ++n)
    for (int64_t l = 0; l < shape.positions; ++l) dbias[n] += dlogits[n * width + l];
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
