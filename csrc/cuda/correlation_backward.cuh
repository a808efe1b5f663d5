// Backward of correlation, diversity and the cosines of one sample. With P = d m^T, d the gradient of the refined maps:
//   dS = dCorrelation + g P          dZ = S o (dS - rowsum(dS o S))       dTheta = dZ
//   dg = sum(S_ij (P_ij - P_ii))     dtau = -sum(dZ o cos) / tau^2        dcos = dZ / tau + hinge
//   E = dcos + dcos^T                u_i = 1 / max(|m_i|, floor)
//   Q_ij = u_i E_ij u_j - delta_ij [|m_i| > floor] u_i^2 sum_j E_ij cos_ij
//   dm = dMaps + Q m + ((1-g) I + g S^T) d
#pragma once

#include "../sma_attention.h"
#include "gram.cuh"

namespace sma::cuda {

struct CorrelationGradients {
  float temperature, gate;  // this thread's part of the sums
};

// `product` holds P on entry (zeros without a gradient of the refined maps) and dZ / tau on return; s is the
// correlation; grad_correlation and grad_relation_bias [N,N] may be null. One warp per row.
__device__ __forceinline__ CorrelationGradients correlation_backward(const Sizes& n, const Matrix& s,
                                                                     const float* grad_correlation, const Matrix& cos,
                                                                     float temperature, float gate,
                                                                     float* grad_relation_bias, const Matrix& product) {
  CorrelationGradients gradients{};
  const float inverse_temperature = 1.0f / temperature;
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const int64_t row = static_cast<int64_t>(i) * n.maps;
    // Rows of S sum to 1 and rows of dZ to 0, so P and cos enter relative to their diagonal, with less cancellation.
    const float p_diag = i < 0 ? 0.0f : product(i, i), cos_diag = i < 0 ? 0.0f : cos(i, i);
    const auto ds = [&](int j) {
      return (grad_correlation ? grad_correlation[row + j] : 0.0f) + gate * (product(i, j) - p_diag);
    };
    const float delta = team.sum(n.maps, [&](int j) { return ds(j) * s(i, j); });
    const float s_dot_p = team.sum(n.maps, [&](int j) { return s(i, j) * (product(i, j) - p_diag); });
    // The sums have let every lane read the diagonal: the row may be overwritten.
    float dz_dot_cos = 0;
    team.for_each(
        n.maps, [&](int j) { return s(i, j) * (ds(j) - delta); },
        [&](int j, float dz) {
          dz_dot_cos = fmaf(dz, cos(i, j) - cos_diag, dz_dot_cos);
          if (grad_relation_bias) grad_relation_bias[row + j] = dz;
          product(i, j) = dz * inverse_temperature;
        });
    gradients.temperature -= dz_dot_cos;
    if (team.is_first_lane()) gradients.gate += s_dot_p;
  });
  gradients.temperature *= inverse_temperature * inverse_temperature;
  return gradients;
}

// Adds the gradient of the hinge to dcos. Like that of relu, it passes where the cosine is NaN.
__device__ __forceinline__ void hinge_diversity_backward(const Sizes& n, const Matrix& cos, float margin,
                                                         float grad_diversity, const Matrix& dcos) {
  const float weight = grad_diversity * pair_weight(n);
  for (int i = thread(); i < n.maps; i += kHeadThreads) {
    const int first = i / n.channels * n.channels;
#pragma unroll 1
    for (int j = first; j < first + n.channels; ++j) {
      if (i != j && !(cos(i, j) - margin <= 0.0f)) dcos(i, j) += weight;
    }
  }
}

// row_projection[i] = sum over j of E_ij cos_ij. One warp per row.
__device__ __forceinline__ void row_projections(const Sizes& n, const Matrix& dcos, const Matrix& cos,
                                                float* row_projection) {
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const float total = team.sum(n.maps, [&](int j) { return (dcos(i, j) + dcos(j, i)) * cos(i, j); });
    if (team.is_first_lane()) row_projection[i] = total;
  });
}

// Turns cos into Q in place.
__device__ __forceinline__ void cosine_gram_backward(const Sizes& n, const Matrix& dcos, const float* inverse_norm,
                                                     const float* row_projection, const Matrix& cos) {
  for_each_element(
      n.maps, n.maps,
      [&](int i, int j) {
        const float u_i = fabsf(inverse_norm[i]);
        const float q = u_i * (dcos(i, j) + dcos(j, i)) * fabsf(inverse_norm[j]);
        return i == j && !(inverse_norm[i] < 0) ? q - u_i * u_i * row_projection[i] : q;
      },
      [&](int i, int j, float q) { cos(i, j) = q; });
}

}  // namespace sma::cuda
