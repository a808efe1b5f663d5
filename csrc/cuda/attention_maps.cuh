// Step 1: attention maps of one sample's slice of positions, from features and weight or from the caller.
#pragma once

#include "../sma_attention.h"
#include "features.cuh"

namespace sma::cuda {

// Fills tiles.left with the weight of the maps of a visit, [64 maps, 64 channels].
template <int kParts>
__device__ __forceinline__ void fill_weight(const ProductTiles& tiles, const Sizes& n, const VisitMaps& maps,
                                            const Visit& visit, const float* weight) {
  PartTile tile = tiles.left;
  tile.pitch = part_pitch(kFeatureChannels);
  fill_tile<kParts, kFeatureChannels>(tile, maps.rows, visit.channels, [&](int row, int channel) {
    const int map = maps(row);
    return map < 0 ? 0.0f : weight[static_cast<int64_t>(map) * n.embed + visit.channel + channel];
  });
}

// Logits of a slice; shared_bias [N] is scratch. A barrier follows.
template <int kParts, class T>
__device__ __forceinline__ void attention_logits(const Sizes& n, FeatureStream<T, kParts>& features,
                                                 const float* weight, const float* bias, const ProductTiles& tiles,
                                                 float* shared_bias, const Matrix& m) {
  constexpr int kTiles = kProductColumns<kParts> / 64;
  const int group_maps = GroupMaps(n, 0).count;
  const auto fill = [&](const Visit& visit, int first) {
    fill_weight<kParts>(tiles, n, VisitMaps(n, features.tiles(), visit, first), visit, weight);
  };
  const auto prepare = [&](const Visit& visit) {
    fill(visit, 0);
    if (visit.tile > 0 || visit.group > 0 || visit.channel > 0) return;
    for (int i = thread(); i < n.maps; i += kHeadThreads) shared_bias[i] = bias ? bias[i] : 0.0f;
  };
  const auto multiply = [&](const Visit& visit, int first) {
    const VisitMaps maps(n, features.tiles(), visit, first);
    const WarpTiles warp_tiles(maps.rows);
    if (warp_tiles.row >= maps.rows) return;
    PartTile left = tiles.left;
    left.pitch = part_pitch(kFeatureChannels);
    float sums[kTiles][2][4] = {};
    multiply_tiles<kParts, FeatureStream<T, kParts>::kTileParts>(
        sums, left, false, warp_tiles.row, features.tile(visit, warp_tiles.row >> maps.group_shift),
        features.channels_last(), visit.channels, warp_tiles.strip, warp_tiles.strips, (visit.positions + 15) / 16);
    store_tiles(sums, warp_tiles, maps.rows, visit.positions, [&](int row, int l, float sum) {
      const int map = maps(row);
      if (map < 0) return;
      float& logit = m(map, visit.position + l);
      logit = sum + (visit.channel > 0 ? logit : shared_bias[map]);
    });
  };
  features.for_each(prepare, [&](const Visit& visit, const T*) {
#pragma unroll 1
    for (int first = 0; first < group_maps; first += features.tiles().group_rows()) {
      if (first > 0) {
        sync_block();
        fill(visit, first);
        sync_block();
      }
      multiply(visit, first);
    }
  });
}

// factors[i] turns row i of exp(logit - own maximum) into maps, from the maxima and sums of all slices at `at`.
__device__ __forceinline__ void softmax_factors(const Sizes& n, const Slice& slice, int64_t at, float* factors) {
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const auto maximum_of = [&](int from) { return load_shared_globally(slice.offered(from, at + 2 * i)); };
    const float maximum = team.max(slice.blocks(), maximum_of);
    const float total = team.sum(slice.blocks(), [&](int from) {
      return load_shared_globally(slice.offered(from, at + 2 * i + 1)) * expf(maximum_of(from) - maximum);
    });
    if (team.is_first_lane()) factors[i] = expf(maximum_of(slice.rank) - maximum) / total;
  });
}

// Softmax over positions, in place; exchanges 2*N floats at `at`. `factors` [N] is scratch.
__device__ __forceinline__ void softmax(const Sizes& n, const Slice& slice, int64_t at, float* factors,
                                        const Matrix& m) {
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const float maximum = team.max(slice.positions, [&](int l) { return m(i, l); });
    const float shift = maximum == -INFINITY ? 0.0f : maximum;  // another slice may have finite logits
    float sum = 0;
    team.for_each(
        slice.positions, [&](int l) { return expf(m(i, l) - shift); },
        [&](int l, float value) {
          m(i, l) = value;
          sum += value;
        });
    sum = team.sum(sum);
    if (!team.is_first_lane()) return;
    if (slice.is_whole()) {
      factors[i] = 1.0f / sum;
    } else {
      store_shared_globally(slice.offered(slice.rank, at + 2 * i), maximum);
      store_shared_globally(slice.offered(slice.rank, at + 2 * i + 1), sum);
    }
  });
  if (!slice.is_whole()) {
    slice.sync();
    softmax_factors(n, slice, at, factors);
  }
  sync_block();
  for_each_element(
      n.maps, slice.positions, [&](int i, int l) { return m(i, l) * factors[i]; },
      [&](int i, int l, float value) { m(i, l) = value; });
}

// Logits to maps in place, 0 at positions that are not valid. Barriers must precede and follow.
__device__ __forceinline__ void apply_activation(const Sizes& n, Activation activation, const Slice& slice, int64_t at,
                                                 float* scratch, const Matrix& m) {
  slice.fill_invalid(m, n.maps, -INFINITY);
  if (activation == Activation::softmax) {
    softmax(n, slice, at, scratch, m);
    slice.fill_invalid(m, n.maps, 0.0f);  // NaN in a sample without a valid position
  } else {
    for_each_element(
        n.maps, slice.positions, [&](int i, int l) { return 1.0f / (1.0f + expf(-m(i, l))); },
        [&](int i, int l, float value) { m(i, l) = value; });
  }
}

template <class T>
__device__ __forceinline__ void load_maps(const Sizes& n, const T* maps, const Slice& slice, const Matrix& m) {
  const T* from = maps + slice.sample() * n.maps * n.positions + slice.first;
  for_each_element(
      n.maps, slice.positions, [&](int i, int l) { return to_acc(from[static_cast<int64_t>(i) * n.positions + l]); },
      [&](int i, int l, float value) { m(i, l) = value; });
}

template <class T>
__device__ __forceinline__ void store_maps(const Sizes& n, const Matrix& m, const Slice& slice, T* maps) {
  T* to = maps + slice.sample() * n.maps * n.positions + slice.first;
  for_each_element(
      n.maps, slice.positions, [&](int i, int l) { return m(i, l); },
      [&](int i, int l, float value) { to[static_cast<int64_t>(i) * n.positions + l] = from_acc<T>(value); });
}

}  // namespace sma::cuda
