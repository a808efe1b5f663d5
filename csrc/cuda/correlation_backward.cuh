// Backward of correlation, diversity and the cosines of one sample. With P = d m^T, d the gradient of the refined maps:
//   dS = dCorrelation + g P          dZ = S o (dS - rowsum(dS o S))       dTheta = dZ
//   dg = sum(S_ij (P_ij - P_ii))     dtau = -sum(dZ o cos) / tau^2        dcos = dZ / tau + hinge
//   E = dcos + dcos^T                u_i = 1 / max(|m_i|, floor)
//   Q_ij = u_i E_ij u_j - delta_ij [|m_i| > floor] u_i^2 sum_j E_ij cos_ij
//   dm = dMaps + Q m + ((1-g) I + g S^T) d
#pragma once

#include "../sma_attention.h"
#include "gram.cuh"
#include "mma.cuh"
#include "workspace.cuh"

namespace sma::cuda {

template <class Mode>
__device__ __forceinline__ void correlation_products(const Sizes& n, const Matrix& d, const Matrix& m,
                                                     const Matrix& product) {
  contract<Mode>(
      n.maps, n.maps, n.positions, [&](int i, int l) { return d(i, l); }, [&](int l, int j) { return m(j, l); },
      [&](int i, int j, float sum) { product(i, j) = sum; });
}

struct CorrelationGradients {
  float temperature, gate;  // sums over the rows of this thread's warp, the same in every lane
};

// `product` holds P on entry (zeros without a gradient of the refined maps) and dZ / tau on return. A warp a row.
__device__ __forceinline__ CorrelationGradients correlation_backward(const Sizes& n, const float* correlation,
                                                                     const float* grad_correlation, const Matrix& cos,
                                                                     float temperature, float gate,
                                                                     float* grad_relation_bias, const Matrix& product) {
  CorrelationGradients found{};
  for (int i = warp(); i < n.maps; i += warps()) {
    const int64_t row = static_cast<int64_t>(i) * n.maps;
    // Rows of S sum to 1 and rows of dZ to 0: P and cos count as differences from their diagonal, which loses less.
    const float own_product = product(i, i), own_cos = cos(i, i);
    float mean = 0, agreement = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float s = correlation[row + j], p = product(i, j) - own_product;
      const float ds = (grad_correlation ? grad_correlation[row + j] : 0.0f) + gate * p;
      mean = fmaf(ds, s, mean);
      agreement = fmaf(s, p, agreement);
    }
    mean = warp_sum(mean);
    found.gate += warp_sum(agreement);
    float pull = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float ds = (grad_correlation ? grad_correlation[row + j] : 0.0f) + gate * (product(i, j) - own_product);
      const float dz = correlation[row + j] * (ds - mean);
      pull = fmaf(dz, cos(i, j) - own_cos, pull);
      if (grad_relation_bias) grad_relation_bias[row + j] = dz;
      product(i, j) = dz / temperature;
    }
    found.temperature -= warp_sum(pull) / (temperature * temperature);
  }
  return found;
}

// Adds the hinge's gradient to dcos. relu passes a NaN's gradient.
__device__ __forceinline__ void diversity_backward(const Sizes& n, const Matrix& cos, float margin, float gradient,
                                                   const Matrix& dcos) {
  const float weight = gradient * pair_weight(n);
  for (int64_t at = thread(); at < static_cast<int64_t>(n.maps) * n.channels; at += threads()) {
    const int i = static_cast<int>(at / n.channels);
    const int j = i / n.channels * n.channels + static_cast<int>(at % n.channels);
    if (i != j && !(cos(i, j) - margin <= 0.0f)) dcos(i, j) += weight;
  }
}

// pull[i] = sum over j of E_ij cos_ij, a warp a row.
__device__ __forceinline__ void cosine_pulls(const Sizes& n, const Matrix& dcos, const Matrix& cos, float* pull) {
  for (int i = warp(); i < n.maps; i += warps()) {
    float total = 0;
    for (int j = lane(); j < n.maps; j += kLanes) total = fmaf(dcos(i, j) + dcos(j, i), cos(i, j), total);
    total = warp_sum(total);
    if (lane() == 0) pull[i] = total;
  }
}

// `cos` becomes Q.
__device__ __forceinline__ void cosine_backward(const Sizes& n, const Matrix& dcos, const float* inverse,
                                                const float* pull, const Matrix& cos) {
  for (int i = warp(); i < n.maps; i += warps()) {
    const float own = fabsf(inverse[i]);
    for (int j = lane(); j < n.maps; j += kLanes) {
      float q = own * (dcos(i, j) + dcos(j, i)) * fabsf(inverse[j]);
      if (i == j && !(inverse[i] < 0)) q -= own * own * pull[i];
      cos(i, j) = q;
    }
  }
}

}  // namespace sma::cuda
