// Host side of a forward: two launches, or one if nothing is pooled.
#pragma once

#include "head_forward.cuh"
#include "launch.cuh"
#include "plan_head.cuh"
#include "pool.cuh"

namespace sma::cuda {

template <class T, int kParts>
HeadForward<T> head_forward_of(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device) {
  HeadForward<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.features = map_of<const T>(in.features, shape.batch, shape.positions, shape.embed);
  p.maps = static_cast<const T*>(in.maps);
  p.mask = in.mask;
  p.weight = static_cast<const float*>(in.weight);
  p.bias = static_cast<const float*>(in.bias);
  p.relation_bias = static_cast<const float*>(in.relation_bias);
  p.temperature = in.temperature;
  p.gate = in.gate;
  p.activation = in.activation;
  p.merge = in.merge;
  p.margin = static_cast<float>(in.margin);
  p.diversify = in.diversify;
  p.correlate = in.correlate;
  p.needs_attention = out.attention || out.attention_sum;
  p.attention = static_cast<T*>(out.attention);
  p.maps_out = static_cast<T*>(out.maps);
  p.diversity = static_cast<float*>(out.diversity);
  p.correlation = static_cast<float*>(out.correlation);
  p.attention_sum = static_cast<float*>(out.attention_sum);
  p.argmax = out.argmax;
  p.plan = plan_head<T, kParts>(
      p.n, p.features, shape.batch, HeadForwardExchange(p.n).size, device, [&](int slice, int columns) {
        return HeadForwardSmem(p.n, in.diversify || in.correlate, in.correlate, slice, columns);
      });
  return p;
}

// Takes the memory of a head kernel's blocks.
template <class Head>
void take_workspace(Head& head, int64_t batch, Workspace& workspace) {
  const int64_t blocks = batch * head.plan.division.cluster;
  head.plan.division.exchange_memory = workspace.take(blocks * head.plan.division.exchange);
  head.workspace = workspace.take(blocks * head.plan.placement.workspace);
}

template <class T, int kParts>
const char* launch_head_forward(const HeadForward<T>& p, int64_t batch, void* stream) {
  const int cluster = p.plan.division.cluster, shared = p.plan.placement.shared;
  if (p.plan.placement.workspace == 0) {
    return launch<head_forward<T, kParts, true>>(batch * cluster, kHeadThreads, shared, stream, p, cluster);
  }
  return launch<head_forward<T, kParts, false>>(batch * cluster, kHeadThreads, shared, stream, p, cluster);
}

template <class T, class Mma>
const char* launch_pool(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device) {
  Pool<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.values = map_of<const T>(in.values, shape.batch, shape.positions, shape.values);
  const T* attention = static_cast<const T*>(out.attention ? out.attention : in.maps);
  p.attention = rows_of(attention, shape.batch, p.n.rows * shape.positions, shape.positions);
  p.attention_sum = static_cast<const float*>(out.attention_sum);
  p.mask = in.mask;
  p.pooled = static_cast<T*>(out.pooled);
  const int row_tiles = row_tiles_of<T>(p.n.rows);
  p.row_blocks = axis_of((p.n.rows + 16 * row_tiles - 1) / (16 * row_tiles));
  const int64_t tiles = tiles_of(shape.values);
  p.slice_tiles = slice_tiles_of(shape.batch * p.row_blocks.size, tiles, 4, device.sm_count);
  p.slices = axis_of((tiles + p.slice_tiles - 1) / p.slice_tiles);
  p.tile_positions = tile_positions_of<T>(shape.positions);
  p.placement.shared = ring_bytes<T>(kPoolStages<T>, row_tiles, p.values.flat);
  const int64_t blocks = shape.batch * p.row_blocks.size * p.slices.size;
  const int shared = p.placement.shared;
  if (row_tiles == 1) return launch<pool<T, Mma, 1>>(blocks, kStreamThreads, shared, device.stream, p);
  if (row_tiles == 2) return launch<pool<T, Mma, 2>>(blocks, kStreamThreads, shared, device.stream, p);
  if constexpr (sizeof(T) == 2) {
    return launch<pool<T, Mma, 4>>(blocks, kStreamThreads, shared, device.stream, p);
  } else {
    return kNoInstance;
  }
}

template <class T>
int64_t forward_workspace_as(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device) {
  return with_mma<T>(device, [&](auto choice) {
    auto head = head_forward_of<T, decltype(choice)::kHeadParts>(shape, in, out, device);
    Workspace workspace(nullptr);
    take_workspace(head, shape.batch, workspace);
    return workspace.bytes();
  });
}

template <class T>
const char* forward_as(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device, void* memory) {
  return with_mma<T>(device, [&](auto choice) -> const char* {
    using Choice = decltype(choice);
    auto head = head_forward_of<T, Choice::kHeadParts>(shape, in, out, device);
    Workspace workspace(memory);
    take_workspace(head, shape.batch, workspace);
    const char* error = launch_head_forward<T, Choice::kHeadParts>(head, shape.batch, device.stream);
    if (error || !out.pooled) return error;
    return launch_pool<T, typename Choice::Stream>(shape, in, out, device);
  });
}

}  // namespace sma::cuda
