// Forward, first launch, one block per sample: everything that does not read the values.
#pragma once

#include "attention_maps.cuh"
#include "correlation.cuh"
#include "gram.cuh"
#include "merge.cuh"

namespace sma::cuda {

template <class T>
struct HeadForward {
  Sizes n;
  Map<const T> features;  // data null if maps are the caller's
  const T* maps;          // the caller's, or null
  const float *weight, *bias, *relation_bias;
  Scalar temperature, gate;
  Activation activation;
  Merge merge;
  float margin;
  bool diversify, correlate, needs_attention;
  T *attention, *maps_out;
  float *diversity, *correlation, *attention_sum;
  uint8_t* argmax;
  Placement placement;
  float* workspace;
};

// The kernel's arrays, in the order in which it carves them; the host places the same list.
struct HeadForwardSmem {
  static constexpr int kCount = 5;
  int64_t floats[kCount];  // row sums, inverse norms, cosines, strip, maps

  __host__ __device__ HeadForwardSmem(const Sizes& n, bool gram, bool refines)
      : floats{n.rows, gram ? n.maps : 0, gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               refines ? static_cast<int64_t>(n.maps) * pitch_of(kTile) : 0,
               static_cast<int64_t>(n.maps) * pitch_of(n.positions)} {}
};

template <class T, class Mma, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 2) head_forward(const __grid_constant__ HeadForward<T> p) {
  const Sizes& n = p.n;
  const int64_t sample = block();
  Arrays<kShared> arrays(p.placement, p.workspace + sample * p.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadThreads / kLanes);
  MapStream<T> stream{};
  if (p.features.rows.data) take_buffers(arrays, p.features.flat, stream);
  const bool gram = p.diversify || p.correlate;
  const HeadForwardSmem sizes(n, gram, p.correlate);
  float* sums = arrays.take(sizes.floats[0]);
  float* inverse_norm = arrays.take(sizes.floats[1]);
  const Matrix cos{arrays.take(sizes.floats[2]), pitch_of(n.maps)};
  const Matrix strip{arrays.take(sizes.floats[3]), pitch_of(kTile)};
  const Matrix m{arrays.take(sizes.floats[4]), pitch_of(n.positions)};

  if (p.features.rows.data) {
    attention_logits<Mma>(n, p.features, sample, p.weight, p.bias, stream, m);
    sync_block();
    apply_activation(n, p.activation, m);
    sync_block();
    store_maps(n, m, p.maps_out, sample);
  } else {
    load_maps(n, p.maps, sample, m);
    sync_block();
  }

  if (gram) {
    inverse_norms(n, m, inverse_norm);
    sync_block();
    cosine_gram<Mma>(n, m, inverse_norm, cos);
    sync_block();
  }
  if (p.diversify) {
    const float diversity = hinge_diversity(n, cos, p.margin, scratch);
    if (thread() == 0) p.diversity[sample] = diversity;
    sync_block();
  }
  if (p.correlate) {
    correlation(n, cos, scalar(p.temperature), p.relation_bias, p.correlation + sample * n.maps * n.maps);
  }
  if (!p.needs_attention) return;

  for (int row = thread(); row < n.rows; row += threads()) sums[row] = 0;
  const int64_t attention_start = sample * n.rows * n.positions;
  const float gate = scalar(p.gate);
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    sync_block();
    if (p.correlate) {
      refine<Mma>(n, m, cos, gate, first, columns, strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    merge_strip(n, p.merge, refined, first, columns, p.attention ? p.attention + attention_start : nullptr,
                p.argmax ? p.argmax + attention_start : nullptr, sums);
  }
  if (p.attention_sum) {
    for (int row = warp(); row < n.rows; row += warps()) {
      if (lane() == 0) p.attention_sum[sample * n.rows + row] = sums[row];
    }
  }
}

}  // namespace sma::cuda
