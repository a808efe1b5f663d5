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

template <typename W>
struct CorrelationGradients {
  W* relation_bias;  // [N, width]
  W* temperature;
  W* gate;
};

// dcos [N, width] from dS = dcorrelation + g P, where P = dm' m^T [N, width] (null without a refined gradient) and
// dcorrelation is [N,N] (may be null). With dZ = S o (dS - rowsum(dS o S)): dtheta += dZ, dcos = dZ/tau,
// dtau -= sum dZ o cos / tau^2, dg += sum_ij S_ij (P_ij - P_ii): rows of S sum to 1, and subtracting first keeps digits.
template <typename W>
inline void correlation_backward(const Inputs& in, const Cosines<W>& cosines, const W* s, const W* p,
                                 const W* dcorrelation, W* dcos, const CorrelationGradients<W>& out) {
  const int64_t count = cosines.count, width = cosines.width;
  const W temperature = value_of<W>(in.temperature), gate = value_of<W>(in.gate);
  W dtemperature = 0, dgate = 0;
  for (int64_t i = 0; i < count; ++i) {
    const W* s_row = s + i * width;
    W* d_row = dcos + i * width;
    W along = 0;
    for (int64_t j = 0; j < count; ++j) {
      const W through_maps = p ? p[i * width + j] : W(0);
      d_row[j] = (dcorrelation ? dcorrelation[i * count + j] : W(0)) + gate * through_maps;
      along += d_row[j] * s_row[j];
      if (p) dgate += s_row[j] * (through_maps - p[i * width + i]);
    }
    for (int64_t j = 0; j < count; ++j) {
      const W dz = s_row[j] * (d_row[j] - along);
      out.relation_bias[i * width + j] += dz;
      dtemperature -= dz * cosines.cos[i * width + j];
      d_row[j] = dz / temperature;
    }
  }
  *out.temperature += dtemperature / (temperature * temperature);
  *out.gate += dgate;
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
