// One warp runs one primitive on per-lane inputs and stores the per-lane results: the same code on a GPU and in the
// emulation, so that they can be compared lane by lane.
#pragma once

#include "../../csrc/cuda/launch.cuh"
#include "../../csrc/cuda/mma.cuh"

namespace sma::cuda {

// A launch that carves more shared memory than it requested, which a GPU may not detect: for the emulation only.
constexpr int kCarveTooMuch = 6;

// in: 32 lanes of 8 words. out: 32 lanes of 4 words.
struct Probe {
  int operation;
  const uint32_t* in;
  uint32_t* out;
};

__device__ __forceinline__ uint32_t word(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

__device__ __forceinline__ float real(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

__global__ void __launch_bounds__(32) probe_lanes(const __grid_constant__ Probe p) {
  int cursor = 0;
  uint32_t* shared = static_cast<uint32_t*>(carve_shared(cursor, 32 * 8 * 4));
  if (p.operation == kCarveTooMuch) carve_shared(cursor, 16);
  const uint32_t* lane_in = p.in + 8 * lane();
  uint32_t result[4] = {};
  if (p.operation == 0) {
    result[0] = word(shuffle_xor(real(lane_in[0]), 5));
    result[1] = word(round_tf32(real(lane_in[1])));
  } else if (p.operation == 1 || p.operation == 2) {
    copy_async<16>(shared + 8 * lane(), lane_in, 16);
    copy_async<8>(shared + 8 * lane() + 4, lane_in + 4, 8);
    copy_async<4>(shared + 8 * lane() + 6, lane_in + 6, 4);
    copy_async<4>(shared + 8 * lane() + 7, lane_in + 7, 2);
    commit_copies();
    wait_copies<0>();
    sync_block();
    if (p.operation == 1) {
      load_matrices(result, shared + 8 * lane() + 4);
    } else {
      load_matrices_transposed(result, shared + 8 * lane() + 4);
    }
  } else {
    float c[4] = {0.5f, 1.5f, 2.5f, 3.5f};
    const uint32_t a[4] = {lane_in[0], lane_in[1], lane_in[2], lane_in[3]};
    if (p.operation == 3) {
      multiply_add(c, a, lane_in[4], lane_in[5], __nv_bfloat16());
    } else if (p.operation == 4) {
      multiply_add(c, a, lane_in[4], lane_in[5], __half());
    } else {
      const float real_a[4] = {real(a[0]), real(a[1]), real(a[2]), real(a[3])};
      multiply_add_tf32(c, real_a, real(lane_in[4]), real(lane_in[5]));
    }
    for (int q = 0; q < 4; ++q) result[q] = word(c[q]);
  }
  for (int q = 0; q < 4; ++q) p.out[4 * lane() + q] = result[q];
}

inline const char* launch_probe(int operation, const void* in, void* out, void* stream) {
  const Probe p{operation, static_cast<const uint32_t*>(in), static_cast<uint32_t*>(out)};
  return launch<probe_lanes>(1, 32, 32 * 8 * 4, stream, p);
}

}  // namespace sma::cuda
