// Kernels whose loops have known trip counts, for the timing model. Each trip writes one element of `out`.
#include <cstdint>

struct Trips {
  volatile int* out;
  const float* data;
  int count, divisor;
  int64_t wide_count, wide_divisor;
  bool flag;
};

__global__ void strided(const __grid_constant__ Trips p) {
  for (int i = static_cast<int>(threadIdx.x); i < p.count; i += static_cast<int>(blockDim.x)) p.out[i] = i;
}

__global__ void divided(const __grid_constant__ Trips p) {
  for (int i = 0; i < p.count / p.divisor; ++i) {
    for (int j = 0; j < i % p.divisor; ++j) p.out[i] = j;
  }
}

__global__ void wide(const __grid_constant__ Trips p) {
  for (int64_t i = 0; i < p.wide_count / p.wide_divisor; ++i) p.out[i] = 1;
}

// The unknown data decide about nothing but a value; `flag` about the trips.
__global__ void depends_on_data(const __grid_constant__ Trips p) {
  for (int i = 0; i < p.count; ++i) {
    float value = p.data[i];
    if (value > 0) value = 1 / value;
    if (p.flag) p.out[i] = static_cast<int>(value);
  }
}

// The compiler passes the address of the argument.
__device__ __noinline__ void count_up(const Trips& p, int64_t from) {
  for (int64_t i = from; i < p.wide_count; i += p.divisor) p.out[i] = p.flag;
}

__global__ void by_reference(const __grid_constant__ Trips p) {
  count_up(p, threadIdx.x);
  count_up(p, p.count);
}

__global__ void by_barriers(const __grid_constant__ Trips p) {
  for (int i = 0; i < p.count; ++i) {
    if (threadIdx.x < 32) p.out[i] = i;
    __syncthreads();
  }
}
