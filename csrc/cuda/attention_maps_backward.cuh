// Backward of step 1 for one sample: activation, features, weight and bias.
#pragma once

#include "attention_maps.cuh"

namespace sma::cuda {

// Turns the gradient `d` of the maps m into that of the logits, in place; grad_bias [N] may be null. One warp per row.
__device__ __forceinline__ void activation_backward(const Sizes& n, Activation activation, const Matrix& m,
                                                    float* grad_bias, const Matrix& d) {
  for (int i = warp(); i < n.maps; i += warps()) {
    float delta = 0;
    if (activation == Activation::softmax) {
      for (int l = lane(); l < n.positions; l += kLanes) delta = fmaf(d(i, l), m(i, l), delta);
      delta = warp_sum(delta);
    }
    float total = 0;
    for (int l = lane(); l < n.positions; l += kLanes) {
      const float value = m(i, l);
      const float slope = activation == Activation::softmax ? value * (d(i, l) - delta) : d(i, l) * value * (1 - value);
      d(i, l) = slope;
      total += slope;
    }
    total = warp_sum(total);
    if (grad_bias && lane() == 0) grad_bias[i] = total;
  }
}

// dF_k[e,l] = sum over the maps n of group k of w[n,e] d[n,l], and dw[n,e] = sum over l of d[n,l] F_k[e,l], both in one
// pass over the features. grad_weight [N,D] of this sample, or null. `out` is scratch for one tile.
template <class Mma, class T>
__device__ __forceinline__ void attention_maps_backward(const Sizes& n, const Map<const T>& features, int64_t sample,
                                                        const float* weight, const MapStream<T>& stream,
                                                        const Matrix& d, const Map<T>& grad_features,
                                                        float* grad_weight, T* out) {
  visit_features(
      n, features, sample, stream,
      [&](const T* data, int group, int channel, int channels, int position, int positions) {
        const GroupMaps maps(n, group);
        if (grad_weight) {
          const Tile<T> tile{data, kPitch<T>, !features.channels_last};
          block_matmul<Mma>(
              maps.count, channels, positions, [&](int i, int l) { return d(maps(i), position + l); }, tile,
              [&](int i, int e, float sum) {
                float& gradient = grad_weight[static_cast<int64_t>(maps(i)) * n.embed + channel + e];
                gradient = position == 0 ? sum : gradient + sum;
              });
        }
        if (grad_features.rows.data) {
          block_matmul<Mma>(
              channels, positions, maps.count,
              [&](int e, int i) { return weight[static_cast<int64_t>(maps(i)) * n.embed + channel + e]; },
              [&](int i, int l) { return d(maps(i), position + l); },
              [&](int e, int l, float sum) { out[tile_index(grad_features, e, l, positions)] = from_acc<T>(sum); });
          sync_block();
          store_map<kHeadThreads>(grad_features, sample, group * n.embed + channel, channels, position, positions, out);
        }
      });
}

}  // namespace sma::cuda
