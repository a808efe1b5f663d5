// Forward, first launch: a block a sample computes everything that does not read the values.
#pragma once

#include "attention_maps.cuh"
#include "correlation.cuh"
#include "gram.cuh"
#include "merge.cuh"

namespace sma::cuda {

constexpr int kHeadThreads = 256;

template <class T>
struct HeadForward {
  Sizes n;
  Map<const T> features;  // data null where maps are given
  const T* maps;
  const float *weight, *bias, *relation_bias;
  Scalar temperature, gate;
  Activation activation;
  Merge merge;
  float margin;
  bool diversify, correlate, merges;
  T *attention, *maps_out;
  float *diversity, *correlation, *attention_sum;
  uint8_t* winner;
  Placement placement;
  float* workspace;
};

// What the kernel takes, in this order; the host places the same list.
struct HeadForwardArrays {
  static constexpr int kCount = 5;
  int64_t floats[kCount];  // row sums, inverse norms, cosines, strip, maps

  __host__ __device__ HeadForwardArrays(const Sizes& n, bool gram, bool refines)
      : floats{n.rows, gram ? n.maps : 0, gram ? static_cast<int64_t>(n.maps) * pitch_of(n.maps) : 0,
               refines ? static_cast<int64_t>(n.maps) * pitch_of(kTile) : 0,
               static_cast<int64_t>(n.maps) * pitch_of(n.positions)} {}
};

template <class T, class Mode, bool kShared>
__global__ void __launch_bounds__(kHeadThreads, 2) head_forward(const __grid_constant__ HeadForward<T> p) {
  const Sizes& n = p.n;
  const int64_t sample = block();
  Arrays<kShared> arrays(p.placement, p.workspace + sample * p.placement.workspace);
  float* scratch = arrays.template tile<float>(kHeadThreads / kLanes);
  MapStream<T> stream{};
  if (p.features.rows.data) {
    stream.buffers.even = arrays.template tile<T>(kTileElements<T>);
    stream.buffers.odd = arrays.template tile<T>(kTileElements<T>);
    if (p.features.flat) stream.tile = arrays.template tile<T>(kTileElements<T>);
  }
  const bool gram = p.diversify || p.correlate;
  const HeadForwardArrays sizes(n, gram, p.correlate);
  float* sums = arrays.take(sizes.floats[0]);
  float* inverse = arrays.take(sizes.floats[1]);
  const Matrix cos{arrays.take(sizes.floats[2]), pitch_of(n.maps)};
  const Matrix strip{arrays.take(sizes.floats[3]), pitch_of(kTile)};
  const Matrix m{arrays.take(sizes.floats[4]), pitch_of(n.positions)};

  if (p.features.rows.data) {
    derive_logits<Mode>(n, p.features, sample, p.weight, p.bias, stream, m);
    sync_block();
    activate(n, p.activation, m);
    sync_block();
    store_maps(n, m, p.maps_out, sample);
  } else {
    load_maps(n, p.maps, sample, m);
    sync_block();
  }

  if (gram) {
    invert_norms(n, m, inverse);
    sync_block();
    cosines<Mode>(n, m, inverse, cos);
    sync_block();
  }
  if (p.diversify) {
    const float found = diversity(n, cos, p.margin, scratch);
    if (thread() == 0) p.diversity[sample] = found;
    sync_block();
  }
  if (p.correlate) {
    correlate(n, cos, scalar(p.temperature), p.relation_bias, p.correlation + sample * n.maps * n.maps);
  }
  if (!p.merges) return;

  for (int row = thread(); row < n.rows; row += threads()) sums[row] = 0;
  const int64_t written = sample * n.rows * n.positions;
  const float gate = scalar(p.gate);
  for (int first = 0; first < n.positions; first += kTile) {
    const int columns = min(kTile, n.positions - first);
    sync_block();
    if (p.correlate) {
      refine<Mode>(n, m, cos, gate, first, columns, strip);
      sync_block();
    }
    const Matrix refined = p.correlate ? strip : Matrix{m.data + first, m.pitch};
    merge_strip(n, p.merge, refined, first, columns, p.attention ? p.attention + written : nullptr,
                p.winner ? p.winner + written : nullptr, sums);
  }
  if (p.attention_sum) {
    for (int row = warp(); row < n.rows; row += warps()) {
      if (lane() == 0) p.attention_sum[sample * n.rows + row] = sums[row];
    }
  }
}

}  // namespace sma::cuda
