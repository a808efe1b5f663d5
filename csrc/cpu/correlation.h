// Inter-attention correlation S and the refinement m' = m + g (S m - m), for one sample.
#pragma once

#include "attention_maps.h"
#include "gram.h"

namespace sma::cpu::SMA_ISA {
namespace {

template <typename acc_t>
SMA_INLINE acc_t value_of(const Scalar& scalar) {
  return scalar.data ? *static_cast<const acc_t*>(scalar.data) : static_cast<acc_t>(scalar.value);
}

// S [N, width]: rows are softmaxes of cos/temperature + relation_bias; padding is 0.
template <typename acc_t>
inline void correlation(const Inputs& in, const Team& team, const Cosines<acc_t>& cosines, acc_t* s) {
  const int64_t count = cosines.count, width = cosines.width;
  const acc_t* bias = static_cast<const acc_t*>(in.relation_bias);
  const acc_t temperature = value_of<acc_t>(in.temperature);
  each_range(team, count, at_least(kFewExponentials, count), [&](int64_t first, int64_t last, int64_t) {
    for (int64_t i = first; i < last; ++i) {
      acc_t* row = s + i * width;
      for (int64_t j = 0; j < count; ++j)
        row[j] = cosines.cos[i * width + j] / temperature + (bias ? bias[i * count + j] : acc_t(0));
      for (int64_t j = count; j < width; ++j) row[j] = -INFINITY;
      softmax_row(row, width);
    }
  });
}

// T [N, width] = (1-g) I + g S, or its transpose: the refined maps are T m, and dm gets T^T dm'.
template <typename acc_t, bool transposed>
inline void refinement_matrix(const Inputs& in, int64_t count, int64_t width, const acc_t* s, acc_t* t) {
  const acc_t gate = value_of<acc_t>(in.gate);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) t[i * width + j] = gate * (transposed ? s[j * width + i] : s[i * width + j]);
    t[i * width + i] += acc_t(1) - gate;
  }
}

// dcos [N, width] from dS = dcorrelation + g P, where P = dm' m^T [N, width] (null without dm') and
// dcorrelation is [N,N] (may be null). With dZ = S o (dS - rowsum(dS o S)): dtheta += dZ, dcos = dZ/tau,
// dtau -= sum dZ o cos / tau^2.
template <typename acc_t>
inline void correlation_backward(const Inputs& in, const Cosines<acc_t>& cosines, const acc_t* s, const acc_t* p,
                                 const acc_t* dcorrelation, acc_t* dcos, acc_t* drelation_bias, acc_t* dtemperature) {
  const int64_t count = cosines.count, width = cosines.width;
  const acc_t temperature = value_of<acc_t>(in.temperature), gate = value_of<acc_t>(in.gate);
  double temperature_sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const acc_t* s_row = s + i * width;
    acc_t* d_row = dcos + i * width;
    copy_in(1, dcorrelation ? count : 0, dcorrelation ? dcorrelation + i * count : nullptr, 0, d_row, 0, width);
    Vector<acc_t> dots{};
    for (int64_t j = 0; j < width; j += lanes<acc_t>) {
      const Vector<acc_t> d = p ? load(d_row + j) + gate * load(p + i * width + j) : load(d_row + j);
      dots += d * load(s_row + j);
      store(d, d_row + j);
    }
    const Vector<acc_t> delta = broadcast(sum_lanes<acc_t>(dots));
    Vector<acc_t> dz_dot_cos{};
    for (int64_t j = 0; j < width; j += lanes<acc_t>) {
      const Vector<acc_t> dz = load(s_row + j) * (load(d_row + j) - delta);
      store(load(drelation_bias + i * width + j) + dz, drelation_bias + i * width + j);
      dz_dot_cos += dz * load(cosines.cos + i * width + j);
      store(dz / temperature, d_row + j);
    }
    temperature_sum -= sum_lanes<acc_t>(dz_dot_cos);
  }
  *dtemperature += static_cast<acc_t>(temperature_sum) / (temperature * temperature);
}

// The gradient of the gate, sum dm' o (S m - m), per region. Not from P: <S, P> - trace P is equal but suffers from
// cancellation. `mix` [N, mix_width], `regions` [K, width] and `of_regions` [R] are scratch.
template <typename acc_t>
inline acc_t gate_gradient(const Shape& shape, const Team& team, const acc_t* s, int64_t mix_width, const acc_t* maps,
                           const acc_t* drefined, int64_t width, acc_t* mix, const PerWorker<acc_t>& regions,
                           acc_t* of_regions) {
  const int64_t count = shape.maps(), step = shape.channels;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < count; ++j) mix[i * mix_width + j] = s[i * mix_width + j];
    mix[i * mix_width + i] -= acc_t(1);
  }
  each_task(team, shape.regions, [&](int64_t r, int64_t worker) {
    acc_t* region = regions[worker];
    multiply<acc_t, false>(step, width, count, mix + r * step * mix_width, mix_width, 1, maps, width, region, width);
    const acc_t* dregion = drefined + r * step * width;
    of_regions[r] = sum_lanes<acc_t>(
        sum_vectors<acc_t>(step * width, [&](int64_t i) { return load(region + i) * load(dregion + i); }));
  });
  double total = 0;
  for (int64_t r = 0; r < shape.regions; ++r) total += of_regions[r];
  return static_cast<acc_t>(total);
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
