// Step 1: attention maps of one sample, from features and weight or from the caller.
#pragma once

#include "../sma_attention.h"
#include "mma.cuh"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

constexpr int kHeadThreads = 256;

// Calls visit(tile, group, first channel in the group, channels, first position, positions) for every tile of a
// sample's features: positions outermost, then groups, then channels. Tiles are double-buffered by asynchronous copies.
// All threads of the block must call; a barrier follows each visit.
template <class T, class Visit>
__device__ __forceinline__ void visit_features(const Sizes& n, const Map<const T>& features, int64_t sample,
                                               const MapStream<T>& stream, const Visit& visit) {
  const int steps = (n.embed + kTile - 1) / kTile;
  const int per_column = n.groups * steps;
  const int count = (n.positions + kTile - 1) / kTile * per_column;
  const auto locate = [&](int i, int& group, int& channel, int& channels, int& position, int& positions) {
    position = i / per_column * kTile;
    positions = min(kTile, n.positions - position);
    group = i % per_column / steps;
    channel = i % steps * kTile;
    channels = min(kTile, n.embed - channel);
  };
  const auto start = [&](int i) {
    int group, channel, channels, position, positions;
    if (i < count) {
      locate(i, group, channel, channels, position, positions);
      load_map<kHeadThreads>(stream.buffers[i], features, sample, group * n.embed + channel, channels, position,
                             positions);
    }
    commit_copies();
  };
  start(0);
  for (int i = 0; i < count; ++i) {
    int group, channel, channels, position, positions;
    locate(i, group, channel, channels, position, positions);
    start(i + 1);
    wait_copies<1>();
    visit(stream.template ready_tile<kHeadThreads>(features, i, positions), group, channel, channels, position,
          positions);
    sync_block();
  }
}

// Carves the buffers of a stream from shared memory.
template <class T, bool kShared>
__device__ __forceinline__ void take_buffers(Arrays<kShared>& arrays, bool flat, MapStream<T>& stream) {
  stream.buffers.even = arrays.template tile<T>(kTileElements<T>);
  stream.buffers.odd = arrays.template tile<T>(kTileElements<T>);
  if (flat) stream.tile = arrays.template tile<T>(kTileElements<T>);
}

// The maps that read feature group `group`: all of them if the group is shared, else channel `group` of every region.
struct GroupMaps {
  int count, first, step;

  __device__ GroupMaps(const Sizes& n, int group)
      : count(n.groups == 1 ? n.maps : n.regions), first(group), step(n.groups == 1 ? 1 : n.channels) {}
  __device__ __forceinline__ int operator()(int i) const { return first + i * step; }
};

template <class Mma, class T>
__device__ __forceinline__ void attention_logits(const Sizes& n, const Map<const T>& features, int64_t sample,
                                                 const float* weight, const float* bias, const MapStream<T>& stream,
                                                 const Matrix& m) {
  visit_features(n, features, sample, stream,
                 [&](const T* data, int group, int channel, int channels, int position, int positions) {
                   const GroupMaps maps(n, group);
                   const Tile<T> tile{data, kPitch<T>, features.channels_last};
                   block_matmul<Mma>(
                       maps.count, positions, channels,
                       [&](int i, int d) { return weight[static_cast<int64_t>(maps(i)) * n.embed + channel + d]; },
                       tile,
                       [&](int i, int l, float sum) {
                         float& logit = m(maps(i), position + l);
                         const float before = channel > 0 ? logit : bias ? bias[maps(i)] : 0.0f;
                         logit = before + sum;
                       });
                 });
}

// Logits to maps in place, one warp per row.
__device__ __forceinline__ void apply_activation(const Sizes& n, Activation activation, const Matrix& m) {
  for (int i = warp(); i < n.maps; i += warps()) {
    if (activation == Activation::sigmoid) {
      for (int l = lane(); l < n.positions; l += kLanes) m(i, l) = 1.0f / (1.0f + expf(-m(i, l)));
      continue;
    }
    float row_max = -INFINITY;
    for (int l = lane(); l < n.positions; l += kLanes) {
      if (greater_or_nan(m(i, l), row_max)) row_max = m(i, l);
    }
    row_max = warp_max(row_max);
    float row_sum = 0;
    for (int l = lane(); l < n.positions; l += kLanes) {
      m(i, l) = expf(m(i, l) - row_max);
      row_sum += m(i, l);
    }
    const float scale = 1.0f / warp_sum(row_sum);
    for (int l = lane(); l < n.positions; l += kLanes) m(i, l) *= scale;
  }
}

template <class T>
__device__ __forceinline__ void load_maps(const Sizes& n, const T* maps, int64_t sample, const Matrix& m) {
  const T* from = maps + sample * n.maps * n.positions;
  for (int i = warp(); i < n.maps; i += warps()) {
    const T* row = from + static_cast<int64_t>(i) * n.positions;
    for (int l = lane(); l < n.positions; l += kLanes) m(i, l) = to_acc(row[l]);
  }
}

template <class T>
__device__ __forceinline__ void store_maps(const Sizes& n, const Matrix& m, T* maps, int64_t sample) {
  T* to = maps + sample * n.maps * n.positions;
  for (int i = warp(); i < n.maps; i += warps()) {
    T* row = to + static_cast<int64_t>(i) * n.positions;
    for (int l = lane(); l < n.positions; l += kLanes) row[l] = from_acc<T>(m(i, l));
  }
}

}  // namespace sma::cuda
