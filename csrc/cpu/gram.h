// Cosine Gram matrix of one sample's maps, shared by diversity and correlation; and the hinge of the diversity.
#pragma once

#include "gemm.h"
#include "team.h"

namespace sma::cpu::SMA_ISA {
namespace {

// Matrices [N, width] and [N] of one sample. cos_ij = gram_ij * inverse_norm_i * inverse_norm_j.
template <typename acc_t>
struct Cosines {
  acc_t* cos;
  acc_t* inverse_norm;  // padded with zeros
  bool* above_floor;    // whether the norm exceeds its floor, so that it has a gradient
  int64_t count, width;

  explicit Cosines(const Shape& shape) : count(shape.maps()), width(padded<acc_t>(shape.maps())) {}
  Cosines(Arena& arena, const Shape& shape) : Cosines(shape) { take_from(arena); }

  void take_from(Arena& arena) {
    cos = arena.take<acc_t>(count * width);
    inverse_norm = arena.take<acc_t>(width);
    above_floor = arena.take<bool>(count);
  }
};

// Rows of a matrix of maps that a thread computes at least.
constexpr int64_t kPartRows = 4;

// transposed [L, columns] = maps [N, width], with positions as rows.
template <typename acc_t>
inline void transpose_maps(const Shape& shape, const Team& team, const acc_t* maps, int64_t width, acc_t* transposed,
                           int64_t columns) {
  const int64_t step = padded<acc_t>(at_least(kFewCopies, columns));
  each_range(team, shape.positions, step, [&](int64_t first, int64_t last, int64_t) {
    transpose<acc_t>(shape.maps(), last - first, maps + first, width, transposed + first * columns, columns, columns);
  });
}

// The rows `first` to `last` of left m^T [N, columns], with left [N, width] and m^T [L, columns].
template <typename acc_t>
inline void multiply_maps(int64_t first, int64_t last, int64_t positions, const acc_t* left, int64_t width,
                          const acc_t* transposed, int64_t columns, acc_t* product, Prefetcher& prefetch) {
  multiply<acc_t, false>(last - first, columns, positions, left + first * width, width, 1, transposed, columns,
                         product + first * columns, columns, prefetch);
}

// Prefetches the start of a feature map during a product of maps, if the team is one thread.
template <typename acc_t, typename T>
inline Prefetcher prefetch_alone(const Shape& shape, const Team& team, const SampleMap<T>& map, int64_t channels) {
  if (team.workers > 1) return {};
  return prefetch_start(map, channels, shape.positions,
                        product_steps<acc_t>(shape.maps(), shape.maps(), shape.positions));
}

// Turns the Gram matrix in cosines.cos into cosines.
template <typename acc_t>
inline void normalize_gram(const Cosines<acc_t>& cosines) {
  const int64_t count = cosines.count, width = cosines.width;
  for (int64_t i = 0; i < count; ++i) {
    const acc_t norm = std::sqrt(cosines.cos[i * width + i]);
    cosines.above_floor[i] = norm > acc_t(kNormFloor);
    cosines.inverse_norm[i] = acc_t(1) / (norm < acc_t(kNormFloor) ? acc_t(kNormFloor) : norm);
  }
  for (int64_t i = count; i < width; ++i) cosines.inverse_norm[i] = 0;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < count; ++j) cosines.cos[i * width + j] *= cosines.inverse_norm[i] * cosines.inverse_norm[j];
}

// Calls body(i, j) for every ordered pair of different maps in the same region.
template <typename Body>
SMA_INLINE void for_pairs_within_regions(const Shape& shape, Body body) {
  for (int64_t i = 0; i < shape.maps(); ++i) {
    const int64_t start = i / shape.channels * shape.channels;
    for (int64_t j = start; j < start + shape.channels; ++j)
      if (j != i) body(i, j);
  }
}

// 1 / (R K (K-1)), the weight of one ordered pair.
template <typename acc_t>
SMA_INLINE acc_t pair_weight(const Shape& shape) {
  return shape.channels > 1 ? acc_t(1) / static_cast<acc_t>(shape.maps() * (shape.channels - 1)) : acc_t(0);
}

// Mean excess of the cosines over the margin; NaN cosines stay NaN.
template <typename acc_t>
inline acc_t hinge_diversity(const Shape& shape, const Cosines<acc_t>& cosines, acc_t margin) {
  double total = 0;  // in double: there are R K (K-1) terms
  for_pairs_within_regions(shape, [&](int64_t i, int64_t j) {
    const acc_t excess = cosines.cos[i * cosines.width + j] - margin;
    total += excess <= 0 ? acc_t(0) : excess;
  });
  return static_cast<acc_t>(total) * pair_weight<acc_t>(shape);
}

template <typename acc_t>
inline void hinge_diversity_backward(const Shape& shape, const Cosines<acc_t>& cosines, acc_t margin,
                                     acc_t grad_diversity, acc_t* dcos) {
  const acc_t slope = grad_diversity * pair_weight<acc_t>(shape);
  for_pairs_within_regions(shape, [&](int64_t i, int64_t j) {
    if (!(cosines.cos[i * cosines.width + j] <= margin)) dcos[i * cosines.width + j] += slope;
  });
}

// Q [N, width] such that dmaps += Q maps. With E = dcos + dcos^T and u = 1/norm, Q_ij = u_i E_ij u_j; where the norm
// has a gradient, the diagonal also loses u_i^2 times the row projection sum_j E_ij cos_ij.
template <typename acc_t>
inline void cosine_gram_backward(const Cosines<acc_t>& cosines, const acc_t* dcos, acc_t* q) {
  const int64_t count = cosines.count, width = cosines.width;
  transpose<acc_t>(count, count, dcos, width, q, width, width);
  for (int64_t i = 0; i < count; ++i) {
    const Vector<acc_t> u = broadcast(cosines.inverse_norm[i]);
    Vector<acc_t> row_projection{};
    for (int64_t j = 0; j < width; j += lanes<acc_t>) {
      const Vector<acc_t> e = load(dcos + i * width + j) + load(q + i * width + j);
      row_projection += e * load(cosines.cos + i * width + j);
      store(u * e * load(cosines.inverse_norm + j), q + i * width + j);
    }
    if (cosines.above_floor[i])
      q[i * width + i] -= cosines.inverse_norm[i] * cosines.inverse_norm[i] * sum_lanes<acc_t>(row_projection);
  }
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
