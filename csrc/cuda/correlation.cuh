// Step 4: correlation S of one sample's maps, and the refinement by it.
#pragma once

#include "../sma_attention.h"
#include "elements.cuh"
#include "products.cuh"

namespace sma::cuda {

__device__ __forceinline__ float scalar(const Scalar& setting) {
  return setting.data ? *static_cast<const float*>(setting.data) : static_cast<float>(setting.value);
}

// Turns cos into S in place and writes it to `correlation` [N,N] if not null. Barriers must precede and follow.
__device__ __forceinline__ void correlation(const Sizes& n, const Matrix& cos, float temperature,
                                            const float* relation_bias, float* correlation) {
  const float inverse_temperature = 1.0f / temperature;
  const auto index = [&](int i, int j) { return static_cast<int64_t>(i) * n.maps + j; };
  for_each_element(
      n.maps, n.maps, [&](int i, int j) { return relation_bias ? relation_bias[index(i, j)] : 0.0f; },
      [&](int i, int j, float bias) { cos(i, j) = fmaf(cos(i, j), inverse_temperature, bias); });
  sync_block();
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const float maximum = team.max(n.maps, [&](int j) { return cos(i, j); });
    float sum = 0;
    team.for_each(
        n.maps, [&](int j) { return expf(cos(i, j) - maximum); },
        [&](int j, float value) {
          cos(i, j) = value;
          sum += value;
        });
    const float scale = 1.0f / team.sum(sum);
    team.for_each(
        n.maps, [&](int j) { return cos(i, j) * scale; },
        [&](int j, float value) {
          cos(i, j) = value;
          if (correlation) correlation[index(i, j)] = value;
        });
  });
}

// strip = refined maps m' at positions first.. of all maps. Barriers must precede and follow.
template <int kParts>
__device__ __forceinline__ void refine(const Sizes& n, const Matrix& m, const Matrix& correlation, float gate,
                                       int first, int columns, const ProductTiles& tiles, const Matrix& strip) {
  for_each_element(
      n.maps, columns, [&](int i, int l) { return (1 - gate) * m(i, first + l); },
      [&](int i, int l, float value) { strip(i, l) = value; });
  add_product<kParts>(tiles, gate, correlation, false, n.maps, Matrix{m.data + first, m.pitch}, columns, strip);
}

}  // namespace sma::cuda
