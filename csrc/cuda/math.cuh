// Conversions, reductions over a warp or a block, and comparisons that propagate NaN.
#pragma once

#include "primitives.cuh"

namespace sma::cuda {

constexpr int kLanes = 32;

__device__ __forceinline__ int lane() { return thread() % kLanes; }
__device__ __forceinline__ int warp() { return thread() / kLanes; }
__device__ __forceinline__ int warps() { return threads() / kLanes; }

__device__ __forceinline__ float to_acc(float value) { return value; }
__device__ __forceinline__ float to_acc(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float to_acc(__half value) { return __half2float(value); }

template <class T>
__device__ __forceinline__ T from_acc(float value);
template <>
__device__ __forceinline__ float from_acc<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_acc<__nv_bfloat16>(float value) {
  return __float2bfloat16(value);
}
template <>
__device__ __forceinline__ __half from_acc<__half>(float value) {
  return __float2half(value);
}

// Whether `value` replaces `best` as the maximum: it is greater, or the first NaN.
__device__ __forceinline__ bool greater_or_nan(float value, float best) {
  return value > best || (value != value && best == best);
}

// max(value, floor); NaN stays NaN.
__device__ __forceinline__ float clamp_min(float value, float floor) { return value < floor ? floor : value; }

// Every lane receives the result; the order of the additions is fixed.
__device__ __forceinline__ float warp_sum(float value) {
  for (int mask = kLanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

// Sum over the block, in thread 0 only. `scratch` holds one float per warp and may be reused after the next barrier.
__device__ __forceinline__ float block_sum(float value, float* scratch) {
  value = warp_sum(value);
  if (lane() == 0) scratch[warp()] = value;
  sync_block();
  float total = 0;
  if (thread() == 0) {
    for (int w = 0; w < warps(); ++w) total += scratch[w];
  }
  return total;
}

}  // namespace sma::cuda
