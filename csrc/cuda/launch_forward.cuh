// Host side of a forward: two launches, one if nothing is pooled, or three if blocks share the positions of the
// pooling.
#pragma once

#include "head_forward.cuh"
#include "launch.cuh"
#include "plan_head.cuh"
#include "pool.cuh"
#include "reduce_pooled.cuh"

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

template <auto kKernel, class Head>
const char* launch_head(const Head& p, int64_t batch, void* stream) {
  const Division& division = p.plan.division;
  const int64_t blocks = batch * division.cluster;
  const int cluster = division.cooperative ? 1 : division.cluster;
  return launch<kKernel>(blocks, kHeadThreads, p.plan.placement.shared, stream, p, cluster, division.cooperative);
}

template <class T, int kParts>
const char* launch_head_forward(const HeadForward<T>& p, int64_t batch, void* stream) {
  if (p.plan.placement.workspace == 0) return launch_head<head_forward<T, kParts, true>>(p, batch, stream);
  return launch_head<head_forward<T, kParts, false>>(p, batch, stream);
}

// Tiles of positions per chunk: all, or as few as give three blocks per SM, but not fewer than outweigh the parts that
// every chunk writes.
inline int64_t chunk_tiles_of(int64_t blocks_per_chunk, int64_t tiles, int sm_count) {
  constexpr int64_t kMinTiles = 8;
  const int64_t chunks = max(int64_t{1}, min(3 * sm_count / blocks_per_chunk, tiles / kMinTiles));
  return (tiles + chunks - 1) / chunks;
}

template <class T>
Pool<T> pool_of(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device) {
  Pool<T> p{};
  p.n = sizes_of(shape, in.merge);
  p.values = map_of<const T>(in.values, shape.batch, shape.positions, shape.values);
  const T* attention = static_cast<const T*>(out.attention ? out.attention : in.maps);
  p.attention = rows_of(attention, shape.batch, p.n.rows * shape.positions, shape.positions);
  p.attention_sum = static_cast<const float*>(out.attention_sum);
  p.mask = in.mask;
  p.pooled = static_cast<T*>(out.pooled);
  p.batch = shape.batch;
  const int row_tiles = row_tiles_of<T>(p.n.rows);
  p.row_blocks = axis_of((p.n.rows + 16 * row_tiles - 1) / (16 * row_tiles));
  const int64_t tiles = tiles_of(shape.values);
  p.slice_tiles = slice_tiles_of(shape.batch * p.row_blocks.size, tiles, 4, device.sm_count);
  p.slices = axis_of((tiles + p.slice_tiles - 1) / p.slice_tiles);
  p.tile_positions = tile_positions_of<T>(shape.positions);
  const int64_t position_tiles = (shape.positions + p.tile_positions - 1) / p.tile_positions;
  const int64_t chunk_tiles =
      chunk_tiles_of(shape.batch * p.row_blocks.size * p.slices.size, position_tiles, device.sm_count);
  p.chunk_positions = static_cast<int>(chunk_tiles) * p.tile_positions;
  p.chunks = axis_of((position_tiles + chunk_tiles - 1) / chunk_tiles);
  p.placement.shared = ring_bytes<T>(kPoolStages<T>, row_tiles, p.values.flat);
  return p;
}

template <class T, class Mma>
const char* launch_pool(const Pool<T>& p, void* stream) {
  const int64_t blocks = p.batch * p.row_blocks.size * p.slices.size * p.chunks.size;
  const int row_tiles = row_tiles_of<T>(p.n.rows), shared = p.placement.shared;
  if (row_tiles == 1) return launch<pool<T, Mma, 1>>(blocks, kStreamThreads, shared, stream, p);
  if (row_tiles == 2) return launch<pool<T, Mma, 2>>(blocks, kStreamThreads, shared, stream, p);
  if constexpr (sizeof(T) == 2) {
    return launch<pool<T, Mma, 4>>(blocks, kStreamThreads, shared, stream, p);
  } else {
    return kNoInstance;
  }
}

template <class T>
const char* launch_reduce_pooled(const Pool<T>& p, void* stream) {
  const int64_t count = p.batch * p.n.rows * p.n.values;
  const PooledParts<T> parts{p.parts, p.pooled, count, static_cast<int>(p.chunks.size)};
  return launch<reduce_pooled<T>>((count + kPooledThreads - 1) / kPooledThreads, kPooledThreads, 0, stream, parts);
}

// The arguments of all kernels of a forward, and their parts of the workspace.
template <class T, int kParts>
struct Forward {
  HeadForward<T> head;
  Pool<T> pool{};
  int64_t workspace_bytes;

  Forward(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device, void* base)
      : head(head_forward_of<T, kParts>(shape, in, out, device)) {
    Workspace workspace(base);
    take_workspace(head, shape.batch, workspace);
    if (out.pooled) {
      pool = pool_of<T>(shape, in, out, device);
      if (pool.chunks.size > 1)
        pool.parts = workspace.take(pool.chunks.size * shape.batch * pool.n.rows * shape.values);
    }
    workspace_bytes = workspace.bytes();
  }
};

template <class T>
int64_t forward_workspace_as(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device) {
  return with_mma<T>(device, [&](auto choice) {
    return Forward<T, decltype(choice)::kHeadParts>(shape, in, out, device, nullptr).workspace_bytes;
  });
}

template <class T>
const char* forward_as(const Shape& shape, const Inputs& in, const Outputs& out, const Device& device, void* memory) {
  return with_mma<T>(device, [&](auto choice) -> const char* {
    using Choice = decltype(choice);
    const Forward<T, Choice::kHeadParts> p(shape, in, out, device, memory);
    const char* error = launch_head_forward<T, Choice::kHeadParts>(p.head, shape.batch, device.stream);
    if (error || !out.pooled) return error;
    error = launch_pool<T, typename Choice::Stream>(p.pool, device.stream);
    return error || p.pool.chunks.size == 1 ? error : launch_reduce_pooled(p.pool, device.stream);
  });
}

}  // namespace sma::cuda
