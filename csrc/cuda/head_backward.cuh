// Backward, second launch, one block per sample: from the gradients of A, maps, correlation and diversity to those of
// the features (or the caller's maps) and this sample's part of the parameter gradients.
#pragma once

#include "attention_maps_backward.cuh"
#include "correlation.cuh"
#include "correlation_backward.cuh"
#include "head_forward.cuh"
#include "merge_backward.cuh"

namespace sma::cuda {

template <class T>
struct HeadBackward {
  Sizes n;
  Map<const T> features;  // data null if maps are the caller's
  const T* maps;          // the caller's, or saved in float32, where they are exact; else null and recomputed
  const float *weight, *bias;
  Scalar temperature, gate;
  Activation activation;
  Merge merge;
  float margin;
  bool correlate;

  const float *correlation, *attention_sum;
  const uint8_t* argmax;

  const T *grad_pooled, *grad_attention, *grad_maps;  // null if absent
  const float *grad_diversity, *grad_correlation;
  const float* partial;  // [B,slices,A,L]
  int slices;

  Map<T> grad_features;
  T* grad_input_maps;
  float *grad_weight, *grad_bias, *grad_temperature, *grad_gate, *grad_relation_bias;  // [B,...], or null
  Placement placement;
  float* workspace;

  __host__ __device__ bool has_attention_gradient() const { return grad_pooled || grad_attention; }
  __host__ __device__ bool has_correlation_gradient() const {
    return correlate && (has_attention_gradient() || grad_correlation);
  }
  __host__ __device__ bool needs_gram() const { return has_correlation_gradient() || grad_diversity; }
};

// The kernel's arrays, in the order in which it carves them; the host places the same list.
struct HeadBackwardSmem {
  static constexpr int kCount = 8;
  int64_t floats[kCount];  // delta, inverse norms, row projections, strip, cosines, product, maps, their gradient

  __host__ __device__ HeadBackwardSmem(const Sizes& n, bool gram)
      : floats{n.rows,
               gram ? n.maps : 0,
               gram ? n.maps : 0,
               static_cast<int64_t>(n.maps) * pitch_of(kTile),
               gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               static_cast<int64_t>(n.maps) * pitch_of(n.positions),
               static_cast<int64_t>(n.maps) * pitch_of(n.positions)} {}
};

// d = df X, and delta = its dot product with every row of A. A is recomputed: the returned one, rounded to 16 bits,
// would cause errors of 1 % in the small gradients of temperature and gate.
template <class T, class Mma>
__device__ __forceinline__ void pooled_backward(const HeadBackward<T>& p, int64_t sample, const Matrix& m,
                                                const float* correlation, float gate, const Matrix& strip,
                                                const Matrix& d, float* delta) {
  const Sizes& n = p.n;
  gather_partial(n, p.merge, p.partial, p.slices, sample, d);
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    sync_block();
    if (p.correlate) {
      refine<Mma>(
          n, m, [&](int i, int j) { return correlation[static_cast<int64_t>(i) * n.maps + j]; }, gate, first, columns,
          strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    add_delta(n, p.merge, refined, first, columns, p.argmax, sample, d, delta);
  }
  sync_block();
}

// Turns d, the gradient of m', into dm in place, in strips of columns: the gradient of a map reads those of all maps at
// the same position.
template <class T, class Mma>
__device__ __forceinline__ void refine_backward(const HeadBackward<T>& p, int64_t sample, const Matrix& m,
                                                const Matrix& q, const float* correlation, float gate,
                                                const Matrix& strip, const Matrix& d) {
  const Sizes& n = p.n;
  const int from_maps = p.needs_gram() ? n.maps : 0;
  const int from_rows = p.has_attention_gradient() && p.correlate ? n.maps : 0;
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    block_matmul<Mma>(
        n.maps, columns, from_maps + from_rows,
        [&](int i, int k) {
          return k < from_maps ? q(i, k) : gate * correlation[static_cast<int64_t>(k - from_maps) * n.maps + i];
        },
        [&](int k, int l) { return k < from_maps ? m(k, first + l) : d(k - from_maps, first + l); },
        [&](int i, int l, float sum) {
          if (p.has_attention_gradient()) sum += (p.correlate ? 1 - gate : 1.0f) * d(i, first + l);
          if (p.grad_maps) sum += to_acc(p.grad_maps[(sample * n.maps + i) * n.positions + first + l]);
          strip(i, l) = sum;
        });
    sync_block();
    for (int i = warp(); i < n.maps; i += warps()) {
      for (int l = lane(); l < columns; l += kLanes) d(i, first + l) = strip(i, l);
    }
    sync_block();
  }
}

template <class T, class Mma, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 2) head_backward(const __grid_constant__ HeadBackward<T> p) {
  const Sizes& n = p.n;
  const int64_t sample = block();
  Arrays<kShared> arrays(p.placement, p.workspace + sample * p.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadThreads / kLanes);
  MapStream<T> stream{};
  T* out = nullptr;
  if (p.features.rows.data) {
    take_buffers(arrays, p.features.flat, stream);
    out = arrays.template tile<T>(kTileElements<T>);
  }
  const HeadBackwardSmem sizes(n, p.needs_gram());
  float* delta = arrays.take(sizes.floats[0]);
  float* inverse_norm = arrays.take(sizes.floats[1]);
  float* row_projection = arrays.take(sizes.floats[2]);
  const Matrix strip{arrays.take(sizes.floats[3]), pitch_of(kTile)};
  const Matrix cos{arrays.take(sizes.floats[4]), pitch_of(n.maps)};
  const Matrix product{arrays.take(sizes.floats[5]), pitch_of(n.maps)};
  const Matrix m{arrays.take(sizes.floats[6]), pitch_of(n.positions)};
  const Matrix d{arrays.take(sizes.floats[7]), pitch_of(n.positions)};

  if (p.maps) {
    load_maps(n, p.maps, sample, m);
  } else {
    attention_logits<Mma>(n, p.features, sample, p.weight, p.bias, stream, m);
    sync_block();
    apply_activation(n, p.activation, m);
  }
  sync_block();

  const int64_t square = static_cast<int64_t>(n.maps) * n.maps;
  const float* correlation = p.correlation ? p.correlation + sample * square : nullptr;
  const float gate = scalar(p.gate);
  if (p.grad_pooled) pooled_backward<T, Mma>(p, sample, m, correlation, gate, strip, d, delta);
  if (p.has_attention_gradient()) {
    merge_backward(n, p.merge, p.grad_pooled ? delta : nullptr, p.attention_sum, p.grad_attention, p.argmax, sample, d);
    sync_block();
  }
  if (p.needs_gram()) {
    inverse_norms(n, m, inverse_norm);
    if (p.has_correlation_gradient() && p.has_attention_gradient()) {
      correlation_products<Mma>(n, d, m, product);
    } else {
      for (int64_t i = thread(); i < static_cast<int64_t>(n.maps) * product.pitch; i += threads()) product.data[i] = 0;
    }
    sync_block();
    cosine_gram<Mma>(n, m, inverse_norm, cos);
    sync_block();
  }
  CorrelationGradients scalars{};
  if (p.has_correlation_gradient()) {
    scalars = correlation_backward(n, correlation, p.grad_correlation ? p.grad_correlation + sample * square : nullptr,
                                   cos, scalar(p.temperature), gate,
                                   p.grad_relation_bias ? p.grad_relation_bias + sample * square : nullptr, product);
  } else if (p.grad_relation_bias) {
    for (int64_t i = thread(); i < square; i += threads()) p.grad_relation_bias[sample * square + i] = 0;
  }
  const float temperature_total = block_sum(lane() == 0 ? scalars.temperature : 0.0f, scratch);
  sync_block();
  const float gate_total = block_sum(lane() == 0 ? scalars.gate : 0.0f, scratch);
  if (thread() == 0) {
    if (p.grad_temperature) p.grad_temperature[sample] = temperature_total;
    if (p.grad_gate) p.grad_gate[sample] = gate_total;
  }
  if (p.needs_gram()) {
    if (p.grad_diversity) hinge_diversity_backward(n, cos, p.margin, p.grad_diversity[sample], product);
    sync_block();
    row_projections(n, product, cos, row_projection);
    sync_block();
    cosine_gram_backward(n, product, inverse_norm, row_projection, cos);
    sync_block();
  }
  refine_backward<T, Mma>(p, sample, m, cos, correlation, gate, strip, d);

  if (p.features.rows.data) {
    activation_backward(n, p.activation, m, p.grad_bias ? p.grad_bias + sample * n.maps : nullptr, d);
    sync_block();
    if (p.grad_weight || p.grad_features.rows.data) {
      attention_maps_backward<Mma>(n, p.features, sample, p.weight, stream, d, p.grad_features,
                                   p.grad_weight ? p.grad_weight + sample * n.maps * n.embed : nullptr, out);
    }
  } else if (p.grad_input_maps) {
    store_maps(n, d, p.grad_input_maps, sample);
  }
}

}  // namespace sma::cuda
