// All PTX and intrinsics, behind named functions. Device code uses no others, so that it can run on the host with an
// emulation of this one file.
//
// Lane layouts follow the PTX ISA, "Warp-level matrix instructions": with g = lane / 4 and t = lane % 4,
//   accumulator of m16n8:  c0 (g, 2t)  c1 (g, 2t+1)  c2 (g+8, 2t)  c3 (g+8, 2t+1)
//   m16n8k16, 16-bit:      a0 (g, 2t..2t+1)  a1 (g+8, 2t..)  a2 (g, 2t+8..)  a3 (g+8, 2t+8..)
//                          b0 (2t..2t+1, g)  b1 (2t+8.., g)
//   m16n8k8, tf32:         a0 (g, t)  a1 (g+8, t)  a2 (g, t+4)  a3 (g+8, t+4)      b0 (t, g)  b1 (t+4, g)
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#ifndef __CUDACC__
#include "emulated_primitives.h"
#else

#include <cooperative_groups.h>

#include "shared_memory_limit.h"
#include "sma_attention_cuda.h"

namespace sma::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int thread() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int threads() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ int64_t block() { return static_cast<int64_t>(blockIdx.x); }
__device__ __forceinline__ void sync_block() { __syncthreads(); }

// Waits for all threads of the cluster, whose global writes before it are visible after it. Without clusters in the
// hardware a cluster is one block.
__device__ __forceinline__ void sync_cluster() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n" ::: "memory");
#else
  __syncthreads();
#endif
}

// The same for all threads of a cooperative launch.
__device__ __forceinline__ void sync_grid() { cooperative_groups::this_grid().sync(); }

// Access to global memory that blocks share: in L2, because the L1 caches are not coherent.
__device__ __forceinline__ float load_shared_globally(const float* from) { return __ldcg(from); }
__device__ __forceinline__ void store_shared_globally(float* to, float value) { __stcg(to, value); }
__device__ __forceinline__ float shuffle_xor(float value, int mask) { return __shfl_xor_sync(kAllLanes, value, mask); }

// The next `bytes` of dynamic shared memory, 16-byte aligned. Every thread carves the same arrays in the same order.
__device__ __forceinline__ void* carve_shared(int& cursor, int bytes) {
  extern __shared__ __align__(128) unsigned char shared_memory[];
  void* array = shared_memory + cursor;
  cursor += (bytes + 15) / 16 * 16;
  return array;
}

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Starts a copy of `valid` bytes to shared memory and fills up to kBytes (4, 8 or 16) with zeros. Both addresses are
// multiples of kBytes. 16-byte copies bypass L1, which data that is read once would only pollute.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* to, const void* from, int valid) {
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(valid)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n" ::"r"(shared_address(to)), "l"(from), "n"(kBytes),
                 "r"(valid)
                 : "memory");
  }
}

// Closes the group of this thread's copies started since the last commit.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Waits until at most kPending of this thread's groups are in flight; other threads see the data after a barrier.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

// Four 8x8 matrices of 16-bit elements. Lane i gives the address of row i % 8 of matrix i / 8; register q of a lane
// receives elements (g, 2t) and (g, 2t+1) of matrix q.
__device__ __forceinline__ void load_matrices(uint32_t (&registers)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared_address(row))
               : "memory");
}

// The same with each matrix transposed: register q receives elements (2t, g) and (2t+1, g) of matrix q.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&registers)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared_address(row))
               : "memory");
}

// c += a b, m16n8k16; the type of the tag is the type of the operands.
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                             __nv_bfloat16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __half) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// c += a b, m16n8k8 on tf32 operands.
__device__ __forceinline__ void multiply_add_tf32(float (&c)[4], const float (&a)[4], float b0, float b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
        "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

// `value` rounded to the 10-bit mantissa of tf32, ties away from zero.
__device__ __forceinline__ float round_tf32(float value) {
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(rounded) : "f"(value));
  return __uint_as_float(rounded);
}

// Blocks of a cluster that the code of this kernel, as loaded on the current device, can synchronize: 1 before 9.0, and
// for code that was compiled for an older architecture.
template <auto kKernel>
int max_cluster() {
  constexpr int kPortable = 8;
  cudaFuncAttributes attributes{};
  if (cudaFuncGetAttributes(&attributes, kKernel) != cudaSuccess) {
    cudaGetLastError();  // otherwise the next launch would report it
    return 1;
  }
  return attributes.ptxVersion >= 90 ? kPortable : 1;
}

struct Grid {
  unsigned blocks;
  int threads;       // per block
  int shared;        // bytes of dynamic shared memory per block
  int cluster;       // blocks per cluster
  bool cooperative;  // all blocks run at the same time; the driver refuses more than the GPU holds
};

// Launches without waiting; null, or the runtime's error.
template <auto kKernel, class Argument>
const char* launch_kernel(const Grid& grid, void* stream, const Argument& argument) {
  if (grid.shared > SharedMemoryLimit::kDefault) {
    int device = 0;
    if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return cudaGetErrorString(error);
    const auto raise = [](int bytes) -> const char* {
      const cudaError_t error = cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      if (error == cudaSuccess) return nullptr;
      cudaGetLastError();  // otherwise the next launch would report it
      return cudaGetErrorString(error);
    };
    if (const char* error = shared_memory_limit<kKernel>.ensure(device, grid.shared, raise)) return error;
  }
  cudaLaunchAttribute attribute{};
  if (grid.cooperative) {
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
  } else {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(grid.cluster), 1, 1};
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(grid.blocks);
  config.blockDim = dim3(static_cast<unsigned>(grid.threads));
  config.dynamicSmemBytes = static_cast<size_t>(grid.shared);
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = &attribute;
  config.numAttrs = grid.cooperative || grid.cluster > 1 ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, kKernel, argument);
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();
  return error == cudaErrorCooperativeLaunchTooLarge ? kTooManyBlocks : cudaGetErrorString(error);
}

}  // namespace sma::cuda

#endif
