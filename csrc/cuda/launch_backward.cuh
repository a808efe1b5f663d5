// Host side of a backward: at most three launches.
#pragma once

#include "head_backward.cuh"
#include "launch_forward.cuh"
#include "pool_backward.cuh"
#include "reduce_parameters.cuh"

namespace sma::cuda {

inline bool needs_head(const GradInputs& g) {
  return g.features.data || g.maps || g.weight || g.bias || g.temperature || g.gate || g.relation_bias;
}

template <class T>
ValuesBackward<T> values_backward_of(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& c,
                                     const GradInputs& g, const Device& device) {
  ValuesBackward<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.values = map_of<const T>(in.values, shape.batch, shape.positions, kTile);
  const T* attention = static_cast<const T*>(saved.attention ? saved.attention : in.maps);
  p.attention = rows_of(attention, shape.batch, p.n.rows * shape.positions, shape.positions);
  p.grad_pooled = rows_of(static_cast<const T*>(c.pooled), shape.batch, p.n.rows * shape.values, shape.values);
  p.attention_sum = static_cast<const float*>(saved.attention_sum);
  p.grad_values = map_of<T>(g.values, shape.batch, shape.positions, kTile);
  const int row_tiles = row_tiles_of<T>(p.n.rows);
  p.row_blocks = (p.n.rows + 16 * row_tiles - 1) / (16 * row_tiles);
  p.roles = p.row_blocks == 1 ? 1 : p.row_blocks + (g.values.data ? 1 : 0);
  const int64_t tiles = tiles_of(shape.values);
  p.slice_tiles = slice_tiles_of(shape.batch * tiles_of(shape.positions) * p.roles, tiles, 8, device.processors);
  p.slices = static_cast<int>((tiles + p.slice_tiles - 1) / p.slice_tiles);
  p.placement.shared = static_cast<int>(stream_bytes<T>(p.values.flat) + 3 * row_tile_bytes<T>(row_tiles));
  return p;
}

template <class T, class Mode>
const char* launch_values_backward(const ValuesBackward<T>& p, int64_t batch, const Device& device) {
  const int64_t blocks = batch * p.roles * p.slices * tiles_of(p.n.positions);
  const int row_tiles = row_tiles_of<T>(p.n.rows), shared = p.placement.shared;
  if (row_tiles == 1) return launch<values_backward<T, Mode, 1>>(blocks, kStreamThreads, shared, device.stream, p);
  if (row_tiles == 2) return launch<values_backward<T, Mode, 2>>(blocks, kStreamThreads, shared, device.stream, p);
  if constexpr (sizeof(T) == 2) {
    return launch<values_backward<T, Mode, 4>>(blocks, kStreamThreads, shared, device.stream, p);
  } else {
    return kNoInstance;
  }
}

template <class T>
HeadBackward<T> head_backward_of(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& c,
                                 const GradInputs& g, const Device& device) {
  HeadBackward<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.features = map_of<const T>(in.features, shape.batch, shape.positions, shape.embed);
  p.maps = static_cast<const T*>(in.maps ? in.maps : sizeof(T) == 4 ? saved.maps : nullptr);
  p.weight = static_cast<const float*>(in.weight);
  p.bias = static_cast<const float*>(in.bias);
  p.temperature = in.temperature;
  p.gate = in.gate;
  p.activation = in.activation;
  p.merge = in.merge;
  p.margin = static_cast<float>(in.margin);
  p.correlate = in.correlate;
  p.correlation = static_cast<const float*>(saved.correlation);
  p.attention_sum = static_cast<const float*>(saved.attention_sum);
  p.winner = saved.argmax;
  p.grad_pooled = static_cast<const T*>(c.pooled);
  p.grad_attention = static_cast<const T*>(c.attention);
  p.grad_maps = static_cast<const T*>(c.maps);
  p.grad_diversity = static_cast<const float*>(c.diversity);
  p.grad_correlation = static_cast<const float*>(c.correlation);
  p.grad_features = map_of<T>(g.features, shape.batch, shape.positions, shape.embed);
  p.grad_given_maps = static_cast<T*>(g.maps);
  const HeadBackwardArrays arrays(p.n, p.has_gram());
  const int64_t tiles =
      kHeadThreads / kLanes * 4 +
      (in.features.data ? stream_bytes<T>(p.features.flat) + kTileElements<T> * static_cast<int64_t>(sizeof(T)) : 0);
  p.placement = place(arrays.floats, HeadBackwardArrays::kCount, tiles, device.shared_limit);
  return p;
}

template <class T, class Mode>
const char* launch_head_backward(const HeadBackward<T>& p, int64_t batch, void* stream) {
  if (p.placement.workspace == 0) {
    return launch<head_backward<T, Mode, true>>(batch, kHeadThreads, p.placement.shared, stream, p);
  }
  return launch<head_backward<T, Mode, false>>(batch, kHeadThreads, p.placement.shared, stream, p);
}

// A whole backward: its kernels' arguments, with every part of the workspace in its place.
template <class T>
struct Backward {
  ValuesBackward<T> values;
  HeadBackward<T> head;
  Reductions reductions{};
  int64_t reduction_blocks = 0;
  int64_t workspace_bytes;

  Backward(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& c, const GradInputs& g,
           const Device& device, void* base)
      : values(values_backward_of<T>(shape, in, saved, c, g, device)),
        head(head_backward_of<T>(shape, in, saved, c, g, device)) {
    Workspace workspace(base);
    if (c.pooled && needs_head(g)) {
      values.partial = workspace.take(shape.batch * values.slices * values.n.rows * shape.positions);
    }
    head.partial = values.partial;
    head.slices = values.slices;
    reductions.batch = shape.batch;
    const auto reduce = [&](void* total, int64_t count) -> float* {
      if (!total) return nullptr;
      float* shares = workspace.take(shape.batch * count);
      reductions.part[reductions.parts++] = {shares, static_cast<float*>(total), count, reduction_blocks};
      reduction_blocks += (count + kLanes - 1) / kLanes;
      return shares;
    };
    head.grad_weight = reduce(g.weight, shape.maps() * shape.embed);
    head.grad_bias = reduce(g.bias, shape.maps());
    head.grad_temperature = reduce(g.temperature, 1);
    head.grad_gate = reduce(g.gate, 1);
    head.grad_relation_bias = reduce(g.relation_bias, shape.maps() * shape.maps());
    head.workspace = workspace.take(shape.batch * head.placement.workspace);
    workspace_bytes = workspace.bytes();
  }
};

template <class T>
int64_t backward_workspace_as(const Shape& shape, const Inputs& in, const GradOutputs& c, const GradInputs& g,
                              const Device& device) {
  return Backward<T>(shape, in, Saved{}, c, g, device, nullptr).workspace_bytes;
}

template <class T>
const char* backward_as(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& c,
                        const GradInputs& g, const Device& device, void* base) {
  Backward<T> p(shape, in, saved, c, g, device, base);
  return with_modes<T>(device, [&](auto modes) -> const char* {
    using Chosen = decltype(modes);
    const char* failed = nullptr;
    if (c.pooled && (g.values.data || needs_head(g))) {
      failed = launch_values_backward<T, typename Chosen::Stream>(p.values, shape.batch, device);
    }
    if (failed || !needs_head(g)) return failed;
    failed = launch_head_backward<T, typename Chosen::Head>(p.head, shape.batch, device.stream);
    if (failed || p.reductions.parts == 0) return failed;
    return launch_reductions(p.reductions, p.reduction_blocks, device.stream);
  });
}

}  // namespace sma::cuda
