// Backward, second launch: a block a sample, from the gradients of A, maps, correlation and diversity to those of the
// features (or the given maps) and to this sample's share of the parameters' gradients.
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
  Map<const T> features;  // data null where maps are given
  const T* maps;          // given, or saved in float32, where they are exact; else null and derived anew
  const float *weight, *bias;
  Scalar temperature, gate;
  Activation activation;
  Merge merge;
  float margin;
  bool correlate;

  const float *correlation, *attention_sum;
  const uint8_t* winner;

  const T *grad_pooled, *grad_attention, *grad_maps;  // incoming; null where none arrived
  const float *grad_diversity, *grad_correlation;
  const float* partial;  // [B,slices,A,L]
  int slices;

  Map<T> grad_features;
  T* grad_given_maps;
  float *grad_weight, *grad_bias, *grad_temperature, *grad_gate, *grad_relation_bias;  // one share a sample
  Placement placement;
  float* workspace;

  __host__ __device__ bool has_rows() const { return grad_pooled || grad_attention; }
  __host__ __device__ bool relates() const { return correlate && (has_rows() || grad_correlation); }
  __host__ __device__ bool has_gram() const { return relates() || grad_diversity; }
};

// What the kernel takes, in this order; the host places the same list.
struct HeadBackwardArrays {
  static constexpr int kCount = 8;
  int64_t floats[kCount];  // dots, inverse norms, pulls, strip, cosines, product, maps, their gradient

  __host__ __device__ HeadBackwardArrays(const Sizes& n, bool gram)
      : floats{n.rows,
               gram ? n.maps : 0,
               gram ? n.maps : 0,
               static_cast<int64_t>(n.maps) * pitch_of(kTile),
               gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               static_cast<int64_t>(n.maps) * pitch_of(n.positions),
               static_cast<int64_t>(n.maps) * pitch_of(n.positions)} {}
};

// df X into d and its dot with every row of A. A is refined and merged anew: rounded to 16 bits, as it was returned, it
// put an error of 1 % into the small gradients of temperature and gate.
template <class T, class Mode>
__device__ __forceinline__ void pooled_backward(const HeadBackward<T>& p, int64_t sample, const Matrix& m,
                                                const float* correlation, float gate, const Matrix& strip,
                                                const Matrix& d, float* dots) {
  const Sizes& n = p.n;
  gather_partial(n, p.merge, p.partial, p.slices, sample, d);
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    sync_block();
    if (p.correlate) {
      refine<Mode>(
          n, m, [&](int i, int j) { return correlation[static_cast<int64_t>(i) * n.maps + j]; }, gate, first, columns,
          strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    add_dots(n, p.merge, refined, first, columns, p.winner, sample, d, dots);
  }
  sync_block();
}

// d becomes dm. Columns are taken in strips, since every map's gradient reads those of all maps at its position.
template <class T, class Mode>
__device__ __forceinline__ void refine_backward(const HeadBackward<T>& p, int64_t sample, const Matrix& m,
                                                const Matrix& q, const float* correlation, float gate,
                                                const Matrix& strip, const Matrix& d) {
  const Sizes& n = p.n;
  const int from_maps = p.has_gram() ? n.maps : 0;
  const int from_rows = p.has_rows() && p.correlate ? n.maps : 0;
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    contract<Mode>(
        n.maps, columns, from_maps + from_rows,
        [&](int i, int k) {
          return k < from_maps ? q(i, k) : gate * correlation[static_cast<int64_t>(k - from_maps) * n.maps + i];
        },
        [&](int k, int l) { return k < from_maps ? m(k, first + l) : d(k - from_maps, first + l); },
        [&](int i, int l, float sum) {
          if (p.has_rows()) sum += (p.correlate ? 1 - gate : 1.0f) * d(i, first + l);
          if (p.grad_maps) sum += widen(p.grad_maps[(sample * n.maps + i) * n.positions + first + l]);
          strip(i, l) = sum;
        });
    sync_block();
    for (int i = warp(); i < n.maps; i += warps()) {
      for (int l = lane(); l < columns; l += kLanes) d(i, first + l) = strip(i, l);
    }
    sync_block();
  }
}

template <class T, class Mode, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 2) head_backward(const __grid_constant__ HeadBackward<T> p) {
  const Sizes& n = p.n;
  const int64_t sample = block();
  Arrays<kShared> arrays(p.placement, p.workspace + sample * p.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadThreads / kLanes);
  MapStream<T> stream{};
  T* out = nullptr;
  if (p.features.rows.data) {
    stream.buffers.even = arrays.template tile<T>(kTileElements<T>);
    stream.buffers.odd = arrays.template tile<T>(kTileElements<T>);
    if (p.features.flat) stream.tile = arrays.template tile<T>(kTileElements<T>);
    out = arrays.template tile<T>(kTileElements<T>);
  }
  const HeadBackwardArrays sizes(n, p.has_gram());
  float* dots = arrays.take(sizes.floats[0]);
  float* inverse = arrays.take(sizes.floats[1]);
  float* pull = arrays.take(sizes.floats[2]);
  const Matrix strip{arrays.take(sizes.floats[3]), pitch_of(kTile)};
  const Matrix cos{arrays.take(sizes.floats[4]), pitch_of(n.maps)};
  const Matrix product{arrays.take(sizes.floats[5]), pitch_of(n.maps)};
  const Matrix m{arrays.take(sizes.floats[6]), pitch_of(n.positions)};
  const Matrix d{arrays.take(sizes.floats[7]), pitch_of(n.positions)};

  if (p.maps) {
    load_maps(n, p.maps, sample, m);
  } else {
    derive_logits<Mode>(n, p.features, sample, p.weight, p.bias, stream, m);
    sync_block();
    activate(n, p.activation, m);
  }
  sync_block();

  const int64_t square = static_cast<int64_t>(n.maps) * n.maps;
  const float* correlation = p.correlation ? p.correlation + sample * square : nullptr;
  const float gate = scalar(p.gate);
  if (p.grad_pooled) pooled_backward<T, Mode>(p, sample, m, correlation, gate, strip, d, dots);
  if (p.has_rows()) {
    merge_backward(n, p.merge, p.grad_pooled ? dots : nullptr, p.attention_sum, p.grad_attention, p.winner, sample, d);
    sync_block();
  }
  if (p.has_gram()) {
    invert_norms(n, m, inverse);
    if (p.relates() && p.has_rows()) {
      correlation_products<Mode>(n, d, m, product);
    } else {
      for (int64_t i = thread(); i < static_cast<int64_t>(n.maps) * product.pitch; i += threads()) product.data[i] = 0;
    }
    sync_block();
    cosines<Mode>(n, m, inverse, cos);
    sync_block();
  }
  CorrelationGradients scalars{};
  if (p.relates()) {
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
  if (p.has_gram()) {
    if (p.grad_diversity) diversity_backward(n, cos, p.margin, p.grad_diversity[sample], product);
    sync_block();
    cosine_pulls(n, product, cos, pull);
    sync_block();
    cosine_backward(n, product, inverse, pull, cos);
    sync_block();
  }
  refine_backward<T, Mode>(p, sample, m, cos, correlation, gate, strip, d);

  if (p.features.rows.data) {
    activate_backward(n, p.activation, m, p.grad_bias ? p.grad_bias + sample * n.maps : nullptr, d);
    sync_block();
    if (p.grad_weight || p.grad_features.rows.data) {
      features_backward<Mode>(n, p.features, sample, p.weight, stream, d, p.grad_features,
                              p.grad_weight ? p.grad_weight + sample * n.maps * n.embed : nullptr, out);
    }
  } else if (p.grad_given_maps) {
    store_maps(n, d, p.grad_given_maps, sample);
  }
}

}  // namespace sma::cuda
