// Inter-attention correlation S and the refinement m' = m + g (S m - m), for one sample.
#pragma once

#include "attention_maps.h"
#include "gram.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename W>
SMA_INLINE W value_of(const Scalar& scalar) {
  return scalar.data ? *static_cast<const W*>(scalar.data) : static_cast<W>(scalar.value);
}

// S [N, width]: rows are softmaxes of cos/temperature + relation_bias; padding is 0.
template <typename W>
inline void correlation(const Inputs& in, const Cosines<W>& cosines, W* s) {
  const int64_t count = cosines.count, width = cosines.width;
  const W* bias = static_cast<const W*>(in.relation_bias);
  const W temperature = value_of<W>(in.temperature);
  for (int64_t i = 0; i < count; ++i) {
    W* row = s + i * width;
    for (int64_t j = 0; j < count; ++j)
      row[j] = cosines.cos[i * width + j] / temperature + (bias ? bias[i * count + j] : W(0));
    for (int64_t j = count; j < width; ++j) row[j] = -INFINITY;
    softmax_row(row, width);
  }
}

// T [N, width] = (1-g) I + g S, or its transpose: refinement is T m, its gradient T^T dm'.
template <typename W, bool transposed>
inline void refinement(const Inputs& in, int64_t count, int64_t width, const W* s, W* t) {
  const W gate = value_of<W>(in.gate);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) t[i * width + j] = gate * (transposed ? s[j * width + i] : s[i * width + j]);
    t[i * width + i] += W(1) - gate;
  }
}

// dcos [N, width] from dS = dcorrelation + g P, where P = dm' m^T [N, width] (null without a refined gradient) and
// dcorrelation is [N,N] (may be null). With dZ = S o (dS - rowsum(dS o S)): dtheta += dZ, dcos = dZ/tau,
// dtau -= sum dZ o cos / tau^2.
template <typename W>
inline void correlation_backward(const Inputs& in, const Cosines<W>& cosines, const W* s, const W* p,
                                 const W* dcorrelation, W* dcos, W* drelation_bias, W* dtemperature) {
  const int64_t count = cosines.count, width = cosines.width;
  const W temperature = value_of<W>(in.temperature), gate = value_of<W>(in.gate);
  double through_temperature = 0;
  for (int64_t i = 0; i < count; ++i) {
    const W* s_row = s + i * width;
    W* d_row = dcos + i * width;
    copy_in(1, dcorrelation ? count : 0, dcorrelation ? dcorrelation + i * count : nullptr, 0, d_row, 0, width);
    Vector<W> dots{};
    for (int64_t j = 0; j < width; j += lanes<W>) {
      const Vector<W> d = p ? load(d_row + j) + gate * load(p + i * width + j) : load(d_row + j);
      dots += d * load(s_row + j);
      store(d, d_row + j);
    }
    const Vector<W> along = broadcast(sum_lanes<W>(dots));
    Vector<W> along_cosines{};
    for (int64_t j = 0; j < width; j += lanes<W>) {
      const Vector<W> dz = load(s_row + j) * (load(d_row + j) - along);
      store(load(drelation_bias + i * width + j) + dz, drelation_bias + i * width + j);
      along_cosines += dz * load(cosines.cos + i * width + j);
      store(dz / temperature, d_row + j);
    }
    through_temperature -= sum_lanes<W>(along_cosines);
  }
  *dtemperature += static_cast<W>(through_temperature) / (temperature * temperature);
}

// The gradient of the gate, sum dm' o (S m - m), a region at a time. Not from P: <S, P> - trace P is the same number
// with most of its digits cancelled. `mix` [N, mix_width] and `region` [K, width] are scratch.
template <typename W>
inline W gate_gradient(const Shape& shape, const W* s, int64_t mix_width, const W* maps, const W* drefined,
                       int64_t width, W* mix, W* region, Ahead& next) {
  const int64_t count = shape.maps(), step = shape.channels;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) mix[i * mix_width + j] = s[i * mix_width + j];
    mix[i * mix_width + i] -= W(1);
  }
  double total = 0;
  for (int64_t n = 0; n < count; n += step) {
    multiply<W, false>(step, width, count, mix + n * mix_width, mix_width, 1, maps, width, region, width, next);
    const W* arrived = drefined + n * width;
    total +=
        sum_lanes<W>(sum_vectors<W>(step * width, [&](int64_t i) { return load(region + i) * load(arrived + i); }));
  }
  return static_cast<W>(total);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
