// Backward of step 1 for one sample's slice: activation, features, weight and bias.
#pragma once

#include "attention_maps.cuh"

namespace sma::cuda {

// Turns the gradient `d` of the maps m into that of the logits, in place. row_sums [N] is scratch and grad_bias [N] of
// this slice may be null; exchanges N floats at `at`. A barrier must precede.
__device__ __forceinline__ void activation_backward(const Sizes& n, Activation activation, const Matrix& m,
                                                    const Slice& slice, int64_t at, float* row_sums, float* grad_bias,
                                                    const Matrix& d) {
  const bool softmax = activation == Activation::softmax;
  if (softmax) {
    for_each_row(n.maps, [&](const RowTeam& team) {
      const float total = team.sum(slice.positions, [&](int l) { return d(team.row, l) * m(team.row, l); });
      if (team.is_first_lane()) row_sums[team.row] = total;
    });
    sync_block();
    slice.sum({{{row_sums, n.maps}, 1, n.maps, at}});
  }
  for_each_row(n.maps, [&](const RowTeam& team) {
    const int i = team.row;
    const float delta = softmax && i >= 0 ? row_sums[i] : 0.0f;
    float total = 0;
    team.for_each(
        slice.positions,
        [&](int l) {
          const float value = m(i, l);
          return softmax ? value * (d(i, l) - delta) : d(i, l) * value * (1 - value);
        },
        [&](int l, float slope) {
          d(i, l) = slope;
          total += slope;
        });
    total = team.sum(total);
    if (grad_bias && team.is_first_lane()) grad_bias[i] = total;
  });
}

// What the gradients of features and weight are computed from, and where they go.
template <class T>
struct MapsBackward {
  const float* weight;
  const Map<T>& grad_features;  // data null if not needed
  float* grad_weight;           // [N,D] of this slice, or null
};

// dw[n,e] = sum over l of d[n,l] F[e,l], for the maps and channels of a visit. `dz` holds their gradient.
template <int kParts, class T>
__device__ __forceinline__ void weight_backward(const Sizes& n, const FeatureStream<T, kParts>& features,
                                                const Visit& visit, const VisitMaps& maps, const PartTile& dz,
                                                float* grad_weight) {
  const WarpTiles warp_tiles(maps.rows);
  if (warp_tiles.row >= maps.rows) return;
  float sums[1][2][4] = {};  // 64 channels are four 16-column tiles, for at least four strips
  multiply_tiles<kParts, FeatureStream<T, kParts>::kTileParts>(
      sums, dz, false, warp_tiles.row, features.tile(visit, warp_tiles.row >> maps.group_shift),
      !features.channels_last(), visit.positions, warp_tiles.strip, warp_tiles.strips, (visit.channels + 15) / 16);
  store_tiles(sums, warp_tiles, maps.rows, visit.channels, [&](int row, int e, float sum) {
    const int map = maps(row);
    if (map < 0) return;
    float& gradient = grad_weight[static_cast<int64_t>(map) * n.embed + visit.channel + e];
    gradient = visit.tile == 0 ? sum : gradient + sum;
  });
}

// How warps share dF of a visit: 16 channels of one group each, and every strips-th tile of 16 positions.
struct FeatureWarp {
  int group, channel, strip, strips;

  __device__ explicit FeatureWarp(const Visit& visit) {
    const int groups = visit.groups > 2 ? 4 : visit.groups;
    const int unit = warp() % (4 * groups);
    group = unit / 4;
    channel = 16 * (unit % 4);
    strip = warp() / (4 * groups);
    strips = kHeadWarps / (4 * groups);
  }
  __device__ __forceinline__ bool works(const Visit& visit) const {
    return group < visit.groups && channel < visit.channels;
  }
};

// Index of (channel, position) in a group's part of a buffer that is laid out like the map.
template <class T>
__device__ __forceinline__ int buffer_index(const Map<T>& map, const FeatureTiles& tiles, int channel, int position,
                                            int positions) {
  if (map.flat) return channel * positions + position;
  return map.channels_last ? position * part_pitch(kFeatureChannels) + channel
                           : channel * part_pitch(tiles.columns) + position;
}

__device__ __forceinline__ void store_two(float* to, float x, float y) { *reinterpret_cast<float2*>(to) = {x, y}; }
__device__ __forceinline__ void store_two(__nv_bfloat16* to, float x, float y) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(x, y);
}
__device__ __forceinline__ void store_two(__half* to, float x, float y) {
  *reinterpret_cast<__half2*>(to) = __floats2half2_rn(x, y);
}

// Writes a warp's tiles of dF, from tile `start` on, to `out`, which is laid out like the gradient.
template <int kTiles, class T>
__device__ __forceinline__ void store_features_tiles(const float (&sums)[kTiles][2][4], const FeatureWarp& own,
                                                     int start, const Visit& visit, const Map<T>& gradient,
                                                     const FeatureTiles& tiles, T* out) {
  T* group_out = out + own.group * group_elements(tiles);
  const bool has_padded_rows = !gradient.flat && !gradient.channels_last;
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int first = 16 * (start + own.strip + t * own.strips);
    if (first >= visit.positions) break;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        const int channel = own.channel + accumulator_row(e), l = first + accumulator_column(half, e);
        const float x = sums[t][half][e], y = sums[t][half][e + 1];
        if (has_padded_rows) {
          store_two(group_out + channel * part_pitch(tiles.columns) + l, x, y);
        } else if (channel < visit.channels) {
          const auto index = [&](int position) {
            return buffer_index(gradient, tiles, channel, position, visit.positions);
          };
          if (l < visit.positions) group_out[index(l)] = from_acc<T>(x);
          if (l + 1 < visit.positions) group_out[index(l + 1)] = from_acc<T>(y);
        }
      }
    }
  }
}

// Writes dF of a visit from `out`, which is laid out like it.
template <int kColumns, class T>
__device__ __forceinline__ void store_features_gradient(int embed, const FeatureTiles& tiles, Visit visit,
                                                        int64_t sample, int first, const Map<T>& gradient,
                                                        const T* out) {
#pragma unroll 1
  for (int g = 0; g < visit.groups; ++g) {
    const T* from = out + g * group_elements(tiles);
    T* to = gradient.at(sample, (visit.group + g) * embed + visit.channel, first + visit.position);
    if (gradient.flat) {
      store_flat(to, from, visit.channels * visit.positions);
    } else if (gradient.channels_last) {
      store_rows<kFeatureChannels>(gradient.rows, to, from, part_pitch(kFeatureChannels), visit.positions,
                                   visit.channels);
    } else {
      store_rows<kColumns>(gradient.rows, to, from, part_pitch(tiles.columns), visit.channels, visit.positions);
    }
  }
}

// dF[e,l] = sum over the maps n of a group of w[n,e] d[n,l], and dw, in one pass over the features.
template <int kParts, class T>
__device__ __forceinline__ void attention_maps_backward(const Sizes& n, FeatureStream<T, kParts>& features,
                                                        const Slice& slice, const ProductTiles& tiles, const Matrix& d,
                                                        const MapsBackward<T>& p) {
  constexpr int kColumns = kProductColumns<kParts>;
  constexpr int kTiles = kParts == 3 ? 1 : 4;  // 16-column tiles of a warp at once: more would not fit in registers
  const FeatureTiles& division = features.tiles();
  const int group_maps = GroupMaps(n, 0).count;
  PartTile dz = tiles.right;
  dz.pitch = part_pitch(division.columns);
  PartTile weight = tiles.left;
  weight.pitch = part_pitch(kFeatureChannels);
  const auto fill = [&](const Visit& visit, int first) {
    const VisitMaps maps(n, division, visit, first);
    fill_weight<kParts>(tiles, n, maps, visit, p.weight);
    fill_tile<kParts, kColumns>(dz, maps.rows, visit.positions, [&](int row, int l) {
      const int map = maps(row);
      return map < 0 ? 0.0f : d(map, visit.position + l);
    });
  };
  features.for_each(
      [&](const Visit& visit) { fill(visit, 0); },
      [&](const Visit& visit, T* out) {
        const FeatureWarp own(visit);
        const int column_tiles = (visit.positions + 15) / 16;
        const int step = p.grad_features.rows.data ? kTiles * own.strips : column_tiles;
#pragma unroll 1
        for (int start = 0; start < column_tiles; start += step) {
          float sums[kTiles][2][4] = {};
#pragma unroll 1
          for (int first = 0; first < group_maps; first += division.group_rows()) {
            if (first > 0) {  // a single group, whose positions fit in one turn of its warps
              sync_block();
              fill(visit, first);
              sync_block();
            }
            const VisitMaps maps(n, division, visit, first);
            if (start == 0 && p.grad_weight) weight_backward(n, features, visit, maps, dz, p.grad_weight);
            if (p.grad_features.rows.data && own.works(visit)) {
              const int row = own.group * division.group_rows();
              multiply_tiles<kParts, kParts>(sums, weight.from(row, 0), true, own.channel, dz.from(row, 0), false,
                                             maps.depth(), start + own.strip, own.strips, column_tiles);
            }
          }
          if (!p.grad_features.rows.data) return;
          if (start == 0) sync_block();  // the features have been read: their buffer is free
          if (own.works(visit)) store_features_tiles(sums, own, start, visit, p.grad_features, division, out);
        }
        sync_block();
        features.clear_invalid(p.grad_features, visit, out);
        store_features_gradient<kColumns>(n.embed, division, visit, slice.sample(), slice.first, p.grad_features, out);
      });
}

}  // namespace sma::cuda
