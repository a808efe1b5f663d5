// Forward, first launch, one cluster per sample: everything that does not read the values.
#pragma once

#include "attention_maps.cuh"
#include "correlation.cuh"
#include "gram.cuh"
#include "head_plan.cuh"
#include "merge.cuh"

namespace sma::cuda {

template <class T>
struct HeadForward {
  Sizes n;
  Map<const T> features;  // data null if maps are the caller's
  const T* maps;          // the caller's, or null
  const bool* mask;       // [B,L], null if all positions are valid
  const float *weight, *bias, *relation_bias;
  Scalar temperature, gate;
  Activation activation;
  Merge merge;
  float margin;
  bool diversify, correlate, needs_attention;
  T *attention, *maps_out;
  float *diversity, *correlation, *attention_sum;
  uint8_t* argmax;
  HeadPlan plan;
  float* workspace;
};

// The kernel's arrays, in the order in which it carves them; the host places the same list.
struct HeadForwardSmem {
  static constexpr int kCount = 5;
  int64_t floats[kCount];  // row sums, inverse norms, cosines, strip, maps

  __host__ __device__ HeadForwardSmem(const Sizes& n, bool gram, bool refines, int slice, int columns)
      : floats{n.rows, n.maps, gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               refines ? static_cast<int64_t>(n.maps) * pitch_of(columns) : 0,
               static_cast<int64_t>(n.maps) * pitch_of(slice)} {}
};

// Where a block offers its sums to its cluster.
struct HeadForwardExchange {
  int64_t statistics, gram, sums, size;

  __host__ __device__ explicit HeadForwardExchange(const Sizes& n)
      : statistics(0), gram(2 * n.maps), sums(gram + static_cast<int64_t>(n.maps) * n.maps), size(sums + n.rows) {}
};

template <class T, int kParts, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 1) head_forward(const __grid_constant__ HeadForward<T> p) {
  const Sizes& n = p.n;
  const Slice slice(p.plan.division, n, p.mask);
  const HeadForwardExchange exchange(n);
  const int columns = p.plan.tiles.columns;
  Arrays<kShared> arrays(p.plan.placement, p.workspace + block() * p.plan.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadWarps);
  const ProductTiles tiles = take_product_tiles<kParts>(arrays, p.plan.product_columns);
  const bool needs_gram = p.diversify || p.correlate;

  FeatureStream<T, kParts> features(arrays, n, p.features, p.plan.tiles, slice);
  const HeadForwardSmem sizes(n, needs_gram, p.correlate, p.plan.division.slice, columns);
  float* sums = arrays.take(sizes.floats[0]);
  float* inverse_norm = arrays.take(sizes.floats[1]);
  const Matrix cos{arrays.take(sizes.floats[2]), pitch_of(n.maps)};
  const Matrix strip{arrays.take(sizes.floats[3]), pitch_of(columns)};
  const Matrix m{arrays.take(sizes.floats[4]), pitch_of(p.plan.division.slice)};

  if (p.features.rows.data) {
    attention_logits<kParts>(n, features, p.weight, p.bias, tiles, inverse_norm, m);
    apply_activation(n, p.activation, slice, exchange.statistics, inverse_norm, m);
    sync_block();
    store_maps(n, m, slice, p.maps_out);
  } else {
    load_maps(n, p.maps, slice, m);
    sync_block();
  }
  if (needs_gram) {
    multiply_rows<kParts>(tiles, m, m, n.maps, slice.positions, cos);
    sync_block();
    slice.sum({{cos, n.maps, n.maps, exchange.gram}});
    cosines(n, cos, inverse_norm);
    sync_block();
  }
  if (p.diversify) {
    const float diversity = hinge_diversity(n, cos, p.margin, scratch);
    if (thread() == 0 && slice.is_first()) p.diversity[slice.sample()] = diversity;
    sync_block();
  }
  if (p.correlate) {
    float* correlation_out = p.correlation + slice.sample() * n.maps * n.maps;
    correlation(n, cos, scalar(p.temperature), p.relation_bias, slice.is_first() ? correlation_out : nullptr);
  }
  if (!p.needs_attention) return;

  for (int row = thread(); row < n.rows; row += kHeadThreads) sums[row] = 0;
  const int64_t attention_start = slice.sample() * n.rows * n.positions;
  const float gate = scalar(p.gate);
#pragma unroll 1
  for (int first = 0; first < slice.positions; first += columns) {
    const int count = min(columns, slice.positions - first);
    sync_block();
    if (p.correlate) {
      refine<kParts>(n, m, cos, gate, first, count, tiles, strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    merge_strip(n, p.merge, refined, slice.first + first, count, p.attention ? p.attention + attention_start : nullptr,
                p.argmax ? p.argmax + attention_start : nullptr, sums);
  }
  if (p.attention_sum) {
    sync_block();
    slice.sum({{{sums, n.rows}, 1, n.rows, exchange.sums}});
    for (int row = thread(); row < n.rows && slice.is_first(); row += kHeadThreads) {
      p.attention_sum[slice.sample() * n.rows + row] = sums[row];
    }
  }
}

}  // namespace sma::cuda
