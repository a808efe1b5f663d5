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

// product = P = d m^T.
template <class Mma>
__device__ __forceinline__ void correlation_products(const Sizes& n, const Matrix& d, const Matrix& m,
                                                     const Matrix& product) {
  block_matmul<Mma>(
      n.maps, n.maps, n.positions, [&](int i, int l) { return d(i, l); }, [&](int l, int j) { return m(j, l); },
      [&](int i, int j, float sum) { product(i, j) = sum; });
}

struct CorrelationGradients {
  float temperature, gate;  // sums over the rows of this thread's warp, the same in every lane
};

// `product` holds P on entry (zeros without a gradient of the refined maps) and dZ / tau on return. One warp per row.
__device__ __forceinline__ CorrelationGradients correlation_backward(const Sizes& n, const float* correlation,
                                                                     const float* grad_correlation, const Matrix& cos,
                                                                     float temperature, float gate,
                                                                     float* grad_relation_bias, const Matrix& product) {
  CorrelationGradients gradients{};
  for (int i = warp(); i < n.maps; i += warps()) {
    const int64_t row = static_cast<int64_t>(i) * n.maps;
    // Rows of S sum to 1 and rows of dZ to 0, so P and cos enter relative to their diagonal, with less cancellation.
    const float p_diag = product(i, i), cos_diag = cos(i, i);
    float delta = 0, s_dot_p = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float s = correlation[row + j], p = product(i, j) - p_diag;
      const float ds = (grad_correlation ? grad_correlation[row + j] : 0.0f) + gate * p;
      delta = fmaf(ds, s, delta);
      s_dot_p = fmaf(s, p, s_dot_p);
    }
    delta = warp_sum(delta);
    gradients.gate += warp_sum(s_dot_p);
    float dz_dot_cos = 0;
    for (int j = lane(); j < n.maps; j += kLanes) {
      const float ds = (grad_correlation ? grad_correlation[row + j] : 0.0f) + gate * (product(i, j) - p_diag);
      const float dz = correlation[row + j] * (ds - delta);
      dz_dot_cos = fmaf(dz, cos(i, j) - cos_diag, dz_dot_cos);
      if (grad_relation_bias) grad_relation_bias[row + j] = dz;
      product(i, j) = dz / temperature;
    }
    gradients.temperature -= warp_sum(dz_dot_cos) / (temperature * temperature);
  }
  return gradients;
}

// Adds the gradient of the hinge to dcos. Like that of relu, it passes where the cosine is NaN.
__device__ __forceinline__ void hinge_diversity_backward(const Sizes& n, const Matrix& cos, float margin,
                                                         float grad_diversity, const Matrix& dcos) {
  const float weight = grad_diversity * pair_weight(n);
  for (int64_t pair = thread(); pair < static_cast<int64_t>(n.maps) * n.channels; pair += threads()) {
    const int i = static_cast<int>(pair / n.channels);
    const int j = i / n.channels * n.channels + static_cast<int>(pair % n.channels);
    if (i != j && !(cos(i, j) - margin <= 0.0f)) dcos(i, j) += weight;
  }
}

// row_projection[i] = sum over j of E_ij cos_ij. One warp per row.
__device__ __forceinline__ void row_projections(const Sizes& n, const Matrix& dcos, const Matrix& cos,
                                                float* row_projection) {
  for (int i = warp(); i < n.maps; i += warps()) {
    float total = 0;
    for (int j = lane(); j < n.maps; j += kLanes) total = fmaf(dcos(i, j) + dcos(j, i), cos(i, j), total);
    total = warp_sum(total);
    if (lane() == 0) row_projection[i] = total;
  }
}

// Turns cos into Q in place. One warp per row.
__device__ __forceinline__ void cosine_gram_backward(const Sizes& n, const Matrix& dcos, const float* inverse_norm,
                                                     const float* row_projection, const Matrix& cos) {
  for (int i = warp(); i < n.maps; i += warps()) {
    const float u_i = fabsf(inverse_norm[i]);
    for (int j = lane(); j < n.maps; j += kLanes) {
      float q = u_i * (dcos(i, j) + dcos(j, i)) * fabsf(inverse_norm[j]);
      if (i == j && !(inverse_norm[i] < 0)) q -= u_i * u_i * row_projection[i];
      cos(i, j) = q;
    }
  }
}

}  // namespace sma::cuda
