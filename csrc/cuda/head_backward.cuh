// Backward, second launch, one cluster per sample: from the gradients of A, maps, correlation and diversity to those of
// the features (or the caller's maps) and this sample's part of the parameter gradients.
#pragma once

#include "attention_maps_backward.cuh"
#include "correlation.cuh"
#include "correlation_backward.cuh"
#include "head_plan.cuh"
#include "merge_backward.cuh"

namespace sma::cuda {

template <class T>
struct HeadBackward {
  Sizes n;
  Map<const T> features;  // data null if maps are the caller's
  const T* maps;          // the caller's, or saved in float32, where they are exact; else null and recomputed
  const bool* mask;       // [B,L], null if all positions are valid
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
  int slices;            // of the channels of the values

  Map<T> grad_features;
  T* grad_input_maps;
  float *grad_weight, *grad_bias;                            // [B,cluster,...], or null
  float *grad_temperature, *grad_gate, *grad_relation_bias;  // [B,...], or null
  HeadPlan plan;
  float* workspace;

  __host__ __device__ bool has_attention_gradient() const { return grad_pooled || grad_attention; }
  __host__ __device__ bool has_correlation_gradient() const {
    return correlate && (has_attention_gradient() || grad_correlation);
  }
  __host__ __device__ bool needs_argmax() const { return merge == Merge::max && has_attention_gradient(); }
  __host__ __device__ bool needs_gram() const { return has_correlation_gradient() || grad_diversity; }
};

// The kernel's arrays, in the order in which it carves them; the host places the same list.
struct HeadBackwardSmem {
  static constexpr int kCount = 9;
  // delta, inverse norms, row sums, argmax, cosines, product and strip, correlation, maps, their gradient
  int64_t floats[kCount];

  template <class T>
  __host__ __device__ HeadBackwardSmem(const HeadBackward<T>& p, int slice, int columns) : floats{} {
    const Sizes& n = p.n;
    const int64_t square = static_cast<int64_t>(n.maps) * pitch_of(n.maps);
    const bool gram = p.needs_gram();
    floats[0] = n.rows;
    floats[1] = gram ? n.maps : 0;
    floats[2] = n.maps;
    floats[3] = p.needs_argmax() ? (static_cast<int64_t>(n.regions) * slice + 3) / 4 : 0;
    floats[4] = gram ? square : 0;
    // The strip is used before the product is computed, and again when it has become Q.
    const int64_t strip = static_cast<int64_t>(n.maps) * pitch_of(columns);
    floats[5] = gram && square > strip ? square : strip;
    floats[6] = p.has_correlation_gradient() ? square : 0;
    floats[7] = floats[8] = static_cast<int64_t>(n.maps) * pitch_of(slice);
  }
};

// Where a block offers its sums to its cluster.
struct HeadBackwardExchange {
  int64_t statistics, delta, gram, product, row_sums, size;

  __host__ __device__ explicit HeadBackwardExchange(const Sizes& n)
      : statistics(0),
        delta(2 * n.maps),
        gram(delta + n.rows),
        product(gram + static_cast<int64_t>(n.maps) * n.maps),
        row_sums(product + static_cast<int64_t>(n.maps) * n.maps),
        size(row_sums + n.maps) {}
};

// delta = the dot product of d = df X with every row of A. A is recomputed: the returned one, rounded to 16 bits, would
// cause errors of 1 % in the small gradients of temperature and gate.
template <int kParts, class T>
__device__ __forceinline__ void pooled_backward(const HeadBackward<T>& p, const Slice& slice, const Matrix& m,
                                                const SavedInputs& saved, float gate, const ProductTiles& tiles,
                                                const Matrix& strip, const Matrix& d, float* delta) {
  const Sizes& n = p.n;
  const int tile_columns = p.plan.tiles.columns;
#pragma unroll 1
  for (int first = 0; first < slice.positions; first += tile_columns) {
    const int columns = min(tile_columns, slice.positions - first);
    sync_block();
    if (p.correlate) {
      refine<kParts>(n, m, saved.correlation, gate, first, columns, tiles, strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    add_delta(n, p.merge, refined, first, columns, saved, d, delta);
  }
  sync_block();
  slice.sum({{{delta, n.rows}, 1, n.rows, HeadBackwardExchange(n).delta}});
}

// Turns d, the gradient of m', into dm in place, in strips of columns: the gradient of a map reads those of all maps at
// the same position.
template <int kParts, class T>
__device__ __forceinline__ void refine_backward(const HeadBackward<T>& p, const Slice& slice, const Matrix& m,
                                                const Matrix& q, const Matrix& correlation, float gate,
                                                const ProductTiles& tiles, const Matrix& strip, const Matrix& d) {
  const Sizes& n = p.n;
  const int tile_columns = p.plan.tiles.columns;
#pragma unroll 1
  for (int first = 0; first < slice.positions; first += tile_columns) {
    const int columns = min(tile_columns, slice.positions - first);
    const int64_t start = slice.sample() * n.maps * n.positions + slice.first + first;
    for_each_element(
        n.maps, columns,
        [&](int i, int l) {
          const float sum = p.grad_maps ? to_acc(p.grad_maps[start + static_cast<int64_t>(i) * n.positions + l]) : 0.0f;
          return p.has_attention_gradient() ? fmaf(p.correlate ? 1 - gate : 1.0f, d(i, first + l), sum) : sum;
        },
        [&](int i, int l, float value) { strip(i, l) = value; });
    // The barriers of the products order these writes before their own.
    const bool from_refined = p.correlate && p.has_attention_gradient();
#pragma unroll 1
    for (int term = p.needs_gram() ? 0 : 1; term < (from_refined ? 2 : 1); ++term) {  // one copy of the code for both
      const Matrix a = term == 0 ? q : correlation;
      const Matrix b = term == 0 ? m : d;
      add_product<kParts>(tiles, term == 0 ? 1.0f : gate, a, term == 1, n.maps, Matrix{b.data + first, b.pitch},
                          columns, strip);
    }
    sync_block();
    for_each_element(
        n.maps, columns, [&](int i, int l) { return strip(i, l); },
        [&](int i, int l, float value) { d(i, first + l) = value; });
    sync_block();
  }
}

template <class T, int kParts, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 1) head_backward(const __grid_constant__ HeadBackward<T> p) {
  const Sizes& n = p.n;
  const Slice slice(p.plan.division, n, p.mask);
  const HeadBackwardExchange exchange(n);
  Arrays<kShared> arrays(p.plan.placement, p.workspace + block() * p.plan.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadWarps);
  const ProductTiles tiles = take_product_tiles<kParts>(arrays, p.plan.product_columns);
  FeatureStream<T, kParts> features(arrays, n, p.features, p.plan.tiles, slice);
  const HeadBackwardSmem sizes(p, p.plan.division.slice, p.plan.tiles.columns);
  float* delta = arrays.take(sizes.floats[0]);
  float* inverse_norm = arrays.take(sizes.floats[1]);
  float* row_sums = arrays.take(sizes.floats[2]);
  uint8_t* argmax = reinterpret_cast<uint8_t*>(arrays.take(sizes.floats[3]));
  const Matrix cos{arrays.take(sizes.floats[4]), pitch_of(n.maps)};
  const Matrix product{arrays.take(sizes.floats[5]), pitch_of(n.maps)};
  const SavedInputs saved{{arrays.take(sizes.floats[6]), pitch_of(n.maps)}, argmax, p.plan.division.slice};
  const Matrix strip{product.data, pitch_of(p.plan.tiles.columns)};
  const Matrix m{arrays.take(sizes.floats[7]), pitch_of(p.plan.division.slice)};
  const Matrix d{arrays.take(sizes.floats[8]), pitch_of(p.plan.division.slice)};

  if (!p.maps) features.start();
  if (p.has_correlation_gradient()) load_correlation(n, p.correlation, slice, saved);
  if (p.needs_argmax()) load_argmax(n, p.argmax, slice, saved);
  if (p.grad_pooled) load_partial(n, p.merge, p.partial, p.slices, slice, d);
  if (p.maps) {
    load_maps(n, p.maps, slice, m);
  } else {
    attention_logits<kParts>(n, features, p.weight, p.bias, tiles, row_sums, m);
    apply_activation(n, p.activation, slice, exchange.statistics, row_sums, m);
  }
  sync_block();
  slice.fill_invalid(d, n.maps, 0.0f);  // the values may be anything there

  const int64_t square = static_cast<int64_t>(n.maps) * n.maps;
  const float gate = scalar(p.gate);
  if (p.grad_pooled) pooled_backward<kParts>(p, slice, m, saved, gate, tiles, strip, d, delta);
  if (p.has_attention_gradient()) {
    merge_backward(n, p.merge, p.grad_pooled ? delta : nullptr, p.attention_sum, p.grad_attention, saved, slice, d);
    sync_block();
  }
  if (p.needs_gram()) {
    const bool has_product = p.has_correlation_gradient() && p.has_attention_gradient();
#pragma unroll 1
    for (int factor = 0; factor < (has_product ? 2 : 1); ++factor) {  // one copy of the code for both
      const Matrix a = factor == 0 ? m : d, result = factor == 0 ? cos : product;
      multiply_rows<kParts>(tiles, a, m, n.maps, slice.positions, result);
    }
    if (!has_product) {
      for_each_element(
          n.maps, n.maps, [](int, int) { return 0.0f; }, [&](int i, int j, float zero) { product(i, j) = zero; });
    }
    sync_block();
    const int product_rows = has_product ? n.maps : 0;
    slice.sum({{cos, n.maps, n.maps, exchange.gram}, {product, product_rows, n.maps, exchange.product}});
    cosines(n, cos, inverse_norm);
    sync_block();
  }
  const float* grad_correlation = p.grad_correlation ? p.grad_correlation + slice.sample() * square : nullptr;
  float* grad_relation_bias =
      p.grad_relation_bias && slice.is_first() ? p.grad_relation_bias + slice.sample() * square : nullptr;
  CorrelationGradients scalars{};
  if (p.has_correlation_gradient()) {
    scalars = correlation_backward(n, saved.correlation, grad_correlation, cos, scalar(p.temperature), gate,
                                   grad_relation_bias, product);
  } else if (grad_relation_bias) {
    for (int64_t i = thread(); i < square; i += kHeadThreads) grad_relation_bias[i] = 0;
  }
  const float temperature_total = block_sum(scalars.temperature, scratch);
  sync_block();
  const float gate_total = block_sum(scalars.gate, scratch);
  if (thread() == 0 && slice.is_first()) {
    if (p.grad_temperature) p.grad_temperature[slice.sample()] = temperature_total;
    if (p.grad_gate) p.grad_gate[slice.sample()] = gate_total;
  }
  if (p.needs_gram()) {
    if (p.grad_diversity) hinge_diversity_backward(n, cos, p.margin, p.grad_diversity[slice.sample()], product);
    sync_block();
    row_projections(n, product, cos, row_sums);
    sync_block();
    cosine_gram_backward(n, product, inverse_norm, row_sums, cos);
    sync_block();
  }
  refine_backward<kParts>(p, slice, m, cos, saved.correlation, gate, tiles, strip, d);

  if (p.features.rows.data) {
    const int64_t part = slice.sample() * slice.blocks() + slice.rank;
    slice.fill_invalid(d, n.maps, 0.0f);  // so may the gradient of the maps
    activation_backward(n, p.activation, m, slice, exchange.row_sums, row_sums,
                        p.grad_bias ? p.grad_bias + part * n.maps : nullptr, d);
    sync_block();
    if (p.grad_weight || p.grad_features.rows.data) {
      const MapsBackward<T> gradients{p.weight, p.grad_features,
                                      p.grad_weight ? p.grad_weight + part * n.maps * n.embed : nullptr};
      attention_maps_backward<kParts>(n, features, slice, tiles, d, gradients);
    }
  } else if (p.grad_input_maps) {
    store_maps(n, d, slice, p.grad_input_maps);
  }
}

}  // namespace sma::cuda
