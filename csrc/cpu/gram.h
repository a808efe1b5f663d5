// The cosine Gram matrix of one sample's maps, which diversity and correlation share; and the diversity hinge.
#pragma once

#include "gemm.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Matrices [N, width] and [N] of one sample. cos_ij = gram_ij * inverse_norm_i * inverse_norm_j.
template <typename W>
struct Cosines {
  W* cos;
  W* inverse_norm;    // padded with zeros
  bool* above_floor;  // the norm is above its floor, so that it has a gradient
  int64_t count, width;

  explicit Cosines(const Shape& shape) : count(shape.maps()), width(padded<W>(shape.maps())) {}
  Cosines(Arena& arena, const Shape& shape) : Cosines(shape) { take_from(arena); }

  void take_from(Arena& arena) {
    cos = arena.take<W>(count * width);
    inverse_norm = arena.take<W>(width);
    above_floor = arena.take<bool>(count);
  }
};

// maps [N, maps_width]; `transposed` is [L, cosines.width], maps with positions as rows.
template <typename W>
inline void cosine_gram(const Shape& shape, const W* maps, int64_t maps_width, const W* transposed,
                        const Cosines<W>& cosines, Ahead& next) {
  const int64_t count = cosines.count, width = cosines.width;
  multiply<W, false>(count, width, shape.positions, maps, maps_width, 1, transposed, width, cosines.cos, width, next);
  for (int64_t i = 0; i < count; ++i) {
    const W norm = std::sqrt(cosines.cos[i * width + i]);
    cosines.above_floor[i] = norm > W(kNormFloor);
    cosines.inverse_norm[i] = W(1) / (norm < W(kNormFloor) ? W(kNormFloor) : norm);
  }
  for (int64_t i = count; i < width; ++i) cosines.inverse_norm[i] = 0;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < count; ++j) cosines.cos[i * width + j] *= cosines.inverse_norm[i] * cosines.inverse_norm[j];
}

// Calls body(i, j) for every ordered pair of different maps of one region.
template <typename Body>
SMA_INLINE void for_pairs_within_regions(const Shape& shape, Body body) {
  for (int64_t i = 0; i < shape.maps(); ++i) {
    const int64_t start = i / shape.channels * shape.channels;
    for (int64_t j = start; j < start + shape.channels; ++j)
      if (j != i) body(i, j);
  }
}

template <typename W>
SMA_INLINE W pair_share(const Shape& shape) {
  return shape.channels > 1 ? W(1) / static_cast<W>(shape.maps() * (shape.channels - 1)) : W(0);
}

// Mean excess of the cosine over the margin; written so that a NaN cosine stays NaN.
template <typename W>
inline W hinge_diversity(const Shape& shape, const Cosines<W>& cosines, W margin) {
  double total = 0;  // of as many terms as there are pairs
  for_pairs_within_regions(shape, [&](int64_t i, int64_t j) {
    const W excess = cosines.cos[i * cosines.width + j] - margin;
    total += excess <= 0 ? W(0) : excess;
  });
  return static_cast<W>(total) * pair_share<W>(shape);
}

template <typename W>
inline void hinge_diversity_backward(const Shape& shape, const Cosines<W>& cosines, W margin, W cotangent, W* dcos) {
  const W slope = cotangent * pair_share<W>(shape);
  for_pairs_within_regions(shape, [&](int64_t i, int64_t j) {
    if (!(cosines.cos[i * cosines.width + j] <= margin)) dcos[i * cosines.width + j] += slope;
  });
}

// Turns dcos into Q [N, width] with dmaps += Q maps. With E = dcos + dcos^T and u = 1/norm,
// Q_ij = u_i E_ij u_j, less u_i^2 sum_j E_ij cos_ij on the diagonal where the norm has a gradient.
template <typename W>
inline void cosine_gram_backward(const Cosines<W>& cosines, const W* dcos, W* q) {
  const int64_t count = cosines.count, width = cosines.width;
  transpose<W>(count, count, dcos, width, q, width, width);
  for (int64_t i = 0; i < count; ++i) {
    const Vector<W> u = broadcast(cosines.inverse_norm[i]);
    Vector<W> along{};
    for (int64_t j = 0; j < width; j += lanes<W>) {
      const Vector<W> e = load(dcos + i * width + j) + load(q + i * width + j);
      along += e * load(cosines.cos + i * width + j);
      store(u * e * load(cosines.inverse_norm + j), q + i * width + j);
    }
    if (cosines.above_floor[i])
      q[i * width + i] -= cosines.inverse_norm[i] * cosines.inverse_norm[i] * sum_lanes<W>(along);
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
