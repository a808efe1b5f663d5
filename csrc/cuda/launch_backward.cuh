// Host side of a backward: at most three launches, or four with more rows of A than a block holds.
#pragma once

#include "grad_values.cuh"
#include "head_backward.cuh"
#include "launch_forward.cuh"
#include "pool_backward.cuh"
#include "reduce_parameters.cuh"

namespace sma::cuda {

inline bool needs_head(const GradInputs& grad_inputs) {
  return grad_inputs.features.data || grad_inputs.maps || grad_inputs.weight || grad_inputs.bias ||
         grad_inputs.temperature || grad_inputs.gate || grad_inputs.relation_bias;
}

// Keeps small maps of many positions, divided by their sums, above the subnormals of float16.
inline float attention_scale(int positions) {
  float scale = 1;
  while (scale < 16384.0f && scale < static_cast<float>(positions)) scale *= 2;
  return scale;
}

template <class T>
PoolBackward<T> pool_backward_of(const Shape& shape, const Inputs& in, const Saved& saved,
                                 const GradOutputs& grad_outputs, const GradInputs& grad_inputs, const Device& device) {
  PoolBackward<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.values = map_of<const T>(in.values, shape.batch, shape.positions, shape.values);
  const T* attention = static_cast<const T*>(saved.attention ? saved.attention : in.maps);
  p.attention = rows_of(attention, shape.batch, p.n.rows * shape.positions, shape.positions);
  p.grad_pooled =
      rows_of(static_cast<const T*>(grad_outputs.pooled), shape.batch, p.n.rows * shape.values, shape.values);
  p.attention_sum = static_cast<const float*>(saved.attention_sum);
  p.attention_scale = attention_scale(p.n.positions);
  p.mask = in.mask;
  p.grad_values = map_of<T>(grad_inputs.values, shape.batch, shape.positions, shape.values);
  const int row_tiles = row_tiles_of<T>(p.n.rows);
  p.row_blocks = axis_of((p.n.rows + 16 * row_tiles - 1) / (16 * row_tiles));
  const int64_t tiles = tiles_of(shape.values);
  p.tile_positions = tile_positions_of<T>(shape.positions);
  p.position_tiles = axis_of((shape.positions + p.tile_positions - 1) / p.tile_positions);
  p.slice_tiles = slice_tiles_of(shape.batch * p.position_tiles.size * p.row_blocks.size, tiles, 8, device.sm_count);
  p.slices = axis_of((tiles + p.slice_tiles - 1) / p.slice_tiles);
  p.placement.shared = ring_bytes<T>(kPoolBackwardStages<T>, row_tiles, p.values.flat) + row_tile_bytes<T>(row_tiles);
  return p;
}

template <class T, class Mma>
const char* launch_pool_backward(const PoolBackward<T>& p, int64_t batch, const Device& device) {
  const int64_t blocks = batch * p.row_blocks.size * p.slices.size * p.position_tiles.size;
  const int row_tiles = row_tiles_of<T>(p.n.rows), shared = p.placement.shared;
  if (row_tiles == 1) return launch<pool_backward<T, Mma, 1>>(blocks, kStreamThreads, shared, device.stream, p);
  if (row_tiles == 2) return launch<pool_backward<T, Mma, 2>>(blocks, kStreamThreads, shared, device.stream, p);
  if constexpr (sizeof(T) == 2) {
    return launch<pool_backward<T, Mma, 4>>(blocks, kStreamThreads, shared, device.stream, p);
  } else {
    return kNoInstance;
  }
}

template <class T, class Mma>
const char* launch_grad_values(const PoolBackward<T>& p, int64_t batch, const Device& device) {
  const int tile_bytes = kTileElements<T> * static_cast<int>(sizeof(T));
  const int shared = 2 * kGradValuesStages * row_tile_bytes<T>(kMaxRowTiles<T>) + tile_bytes;
  return launch<grad_values<T, Mma>>(batch * p.slices.size * p.position_tiles.size, kStreamThreads, shared,
                                     device.stream, p);
}

// One launch, or two if A has more rows than a block holds.
template <class T, class Mma>
const char* launch_values_backward(const PoolBackward<T>& p, int64_t batch, const Device& device) {
  const bool all_rows_fit = p.row_blocks.size == 1;
  if (p.partial || all_rows_fit) {
    const char* error = launch_pool_backward<T, Mma>(p, batch, device);
    if (error || all_rows_fit) return error;
  }
  return p.grad_values.rows.data ? launch_grad_values<T, Mma>(p, batch, device) : nullptr;
}

template <class T, int kParts>
HeadBackward<T> head_backward_of(const Shape& shape, const Inputs& in, const Saved& saved,
                                 const GradOutputs& grad_outputs, const GradInputs& grad_inputs, const Device& device) {
  HeadBackward<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.features = map_of<const T>(in.features, shape.batch, shape.positions, shape.embed);
  p.maps = static_cast<const T*>(in.maps ? in.maps : sizeof(T) == 4 ? saved.maps : nullptr);
  p.mask = in.mask;
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
  p.argmax = saved.argmax;
  p.grad_pooled = static_cast<const T*>(grad_outputs.pooled);
  p.grad_attention = static_cast<const T*>(grad_outputs.attention);
  p.grad_maps = static_cast<const T*>(grad_outputs.maps);
  p.grad_diversity = static_cast<const float*>(grad_outputs.diversity);
  p.grad_correlation = static_cast<const float*>(grad_outputs.correlation);
  p.grad_features = map_of<T>(grad_inputs.features, shape.batch, shape.positions, shape.embed);
  p.grad_input_maps = static_cast<T*>(grad_inputs.maps);
  p.plan = plan_head<T, kParts>(p.n, p.features, shape.batch, HeadBackwardExchange(p.n).size, device,
                                [&](int slice, int columns) { return HeadBackwardSmem(p, slice, columns); });
  p.grad_features.flat = p.grad_features.flat && p.plan.division.cluster == 1 && p.plan.tiles.columns >= p.n.positions;
  return p;
}

template <class T, int kParts>
const char* launch_head_backward(const HeadBackward<T>& p, int64_t batch, void* stream) {
  if (p.plan.placement.workspace == 0) return launch_head<head_backward<T, kParts, true>>(p, batch, stream);
  return launch_head<head_backward<T, kParts, false>>(p, batch, stream);
}

// The arguments of all kernels of a backward, and their parts of the workspace.
template <class T, int kParts>
struct Backward {
  PoolBackward<T> pool;
  HeadBackward<T> head;
  Reductions reductions{};
  int64_t reduction_blocks = 0;
  int64_t workspace_bytes;

  Backward(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& grad_outputs,
           const GradInputs& grad_inputs, const Device& device, void* base)
      : pool(pool_backward_of<T>(shape, in, saved, grad_outputs, grad_inputs, device)),
        head(head_backward_of<T, kParts>(shape, in, saved, grad_outputs, grad_inputs, device)) {
    Workspace workspace(base);
    if (grad_outputs.pooled && needs_head(grad_inputs)) {
      pool.partial = workspace.take(shape.batch * pool.slices.size * pool.n.rows * shape.positions);
    }
    head.partial = pool.partial;
    head.slices = static_cast<int>(pool.slices.size);
    const auto reduce = [&](void* total, int64_t count, int64_t partials_of_sample) -> float* {
      if (!total) return nullptr;
      const int64_t partials = shape.batch * partials_of_sample;
      float* memory = workspace.take(partials * count);
      reductions.entries[reductions.size++] = {memory, static_cast<float*>(total), partials, count, reduction_blocks};
      reduction_blocks += (count + kLanes - 1) / kLanes;
      return memory;
    };
    const int cluster = head.plan.division.cluster;
    head.grad_weight = reduce(grad_inputs.weight, shape.maps() * shape.embed, cluster);
    head.grad_bias = reduce(grad_inputs.bias, shape.maps(), cluster);
    head.grad_temperature = reduce(grad_inputs.temperature, 1, 1);
    head.grad_gate = reduce(grad_inputs.gate, 1, 1);
    head.grad_relation_bias = reduce(grad_inputs.relation_bias, shape.maps() * shape.maps(), 1);
    take_workspace(head, shape.batch, workspace);
    workspace_bytes = workspace.bytes();
  }
};

template <class T>
int64_t backward_workspace_as(const Shape& shape, const Inputs& in, const GradOutputs& grad_outputs,
                              const GradInputs& grad_inputs, const Device& device) {
  return with_mma<T>(device, [&](auto choice) {
    return Backward<T, decltype(choice)::kHeadParts>(shape, in, Saved{}, grad_outputs, grad_inputs, device, nullptr)
        .workspace_bytes;
  });
}

template <class T>
const char* backward_as(const Shape& shape, const Inputs& in, const Saved& saved, const GradOutputs& grad_outputs,
                        const GradInputs& grad_inputs, const Device& device, void* base) {
  return with_mma<T>(device, [&](auto choice) -> const char* {
    using Choice = decltype(choice);
    Backward<T, Choice::kHeadParts> p(shape, in, saved, grad_outputs, grad_inputs, device, base);
    const char* error = nullptr;
    if (grad_outputs.pooled && (grad_inputs.values.data || needs_head(grad_inputs))) {
      error = launch_values_backward<T, typename Choice::Stream>(p.pool, shape.batch, device);
    }
    if (error || !needs_head(grad_inputs)) return error;
    error = launch_head_backward<T, Choice::kHeadParts>(p.head, shape.batch, device.stream);
    if (error || p.reductions.size == 0) return error;
    return launch_reductions(p.reductions, p.reduction_blocks, device.stream);
  });
}

}  // namespace sma::cuda
