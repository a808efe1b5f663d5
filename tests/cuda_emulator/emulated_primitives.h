// Replaces the second half of csrc/cuda/primitives.cuh when the device code is compiled for the host. Each operation is
// written from its documentation; the matrix operations follow the PTX ISA's tables of which lane holds which element.
#pragma once

#include <algorithm>
#include <cmath>

#include "emulator.h"

// The headers of the 16-bit formats define the other qualifiers as empty for compilers without CUDA.
#undef __launch_bounds__
#define __launch_bounds__(...)

namespace sma::cuda {

using std::max;
using std::min;

inline int thread() { return static_cast<int>(emulator::self().thread); }
inline int threads() { return static_cast<int>(emulator::self().threads); }
inline int64_t block() { return emulator::self().block; }
inline void sync_block() { emulator::barrier(); }
inline void sync_cluster() { emulator::cluster_barrier(); }
inline void sync_grid() { emulator::grid_barrier(); }
inline float load_shared_globally(const float* from) { return *from; }
inline void store_shared_globally(float* to, float value) { *to = value; }

inline float shuffle_xor(float value, int mask) {
  return emulator::exchange("shuffle_xor", value)[emulator::self().lane ^ static_cast<unsigned>(mask)];
}

inline void* carve_shared(int& cursor, int bytes) {
  void* array = emulator::carve(cursor, bytes);
  cursor += (bytes + 15) / 16 * 16;
  return array;
}

template <int kBytes>
void copy_async(void* to, const void* from, int valid) {
  emulator::copy(to, from, kBytes, valid);
}
inline void commit_copies() { emulator::commit(); }
template <int kPending>
void wait_copies() {
  emulator::wait(kPending);
}

namespace emulated {

inline const uint16_t* matrix_row(const void* const* rows, int matrix, int row) {
  const void* address = rows[8 * matrix + row];
  if (reinterpret_cast<uintptr_t>(address) % 16) emulator::fail("a row of a matrix load at a misaligned address");
  return static_cast<const uint16_t*>(address);
}

inline uint32_t pair(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }

inline float element(uint16_t bits, __nv_bfloat16) {
  __nv_bfloat16 value;
  memcpy(static_cast<void*>(&value), &bits, sizeof bits);
  return __bfloat162float(value);
}
inline float element(uint16_t bits, __half) {
  __half value;
  memcpy(static_cast<void*>(&value), &bits, sizeof bits);
  return __half2float(value);
}

struct Operands {
  uint32_t a[4], b[2];
};

// Element (row, k) of A, 16x16, from the registers of all lanes. Lane 4*(row%8) + (k%8)/2 holds it: in register
// 2*(k/8) + row/8, in the half k%2.
template <class T>
float left(const Operands* lanes, int row, int k) {
  const uint32_t packed = lanes[4 * (row % 8) + k % 8 / 2].a[2 * (k / 8) + row / 8];
  return element(static_cast<uint16_t>(packed >> 16 * (k % 2)), T());
}

// Element (k, column) of B, 16x8: lane 4*column + (k%8)/2, register k/8, half k%2.
template <class T>
float right(const Operands* lanes, int k, int column) {
  const uint32_t packed = lanes[4 * column + k % 8 / 2].b[k / 8];
  return element(static_cast<uint16_t>(packed >> 16 * (k % 2)), T());
}

// Towards zero: the manual leaves the rounding of tensor cores open, and they are known to truncate.
inline float truncated(double value) {
  float rounded = static_cast<float>(value);
  if (std::isfinite(rounded) && std::fabs(static_cast<double>(rounded)) > std::fabs(value)) {
    rounded = std::nextafter(rounded, 0.0f);
  }
  return rounded;
}

// Accumulator register q of a lane is element (lane/4 + 8*(q/2), 2*(lane%4) + q%2).
template <class LeftElement, class RightElement>
void accumulate(float (&c)[4], int depth, const LeftElement& a, const RightElement& b) {
  const int lane = static_cast<int>(emulator::self().lane);
  for (int q = 0; q < 4; ++q) {
    const int row = lane / 4 + 8 * (q / 2), column = 2 * (lane % 4) + q % 2;
    double sum = c[q];
    for (int k = 0; k < depth; ++k) sum += static_cast<double>(a(row, k)) * static_cast<double>(b(k, column));
    c[q] = truncated(sum);
  }
}

template <class T>
void multiply_add_16(const char* name, float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const Operands* lanes = emulator::exchange(name, Operands{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  accumulate(
      c, 16, [&](int row, int k) { return left<T>(lanes, row, k); },
      [&](int k, int column) { return right<T>(lanes, k, column); });
}

}  // namespace emulated

inline void load_matrices(uint32_t (&registers)[4], const void* row) {
  const void* const* rows = emulator::exchange("load_matrices", row);
  const int lane = static_cast<int>(emulator::self().lane);
  for (int q = 0; q < 4; ++q) {
    const uint16_t* from = emulated::matrix_row(rows, q, lane / 4);
    registers[q] = emulated::pair(from[2 * (lane % 4)], from[2 * (lane % 4) + 1]);
  }
}

inline void load_matrices_transposed(uint32_t (&registers)[4], const void* row) {
  const void* const* rows = emulator::exchange("load_matrices_transposed", row);
  const int lane = static_cast<int>(emulator::self().lane);
  for (int q = 0; q < 4; ++q) {
    registers[q] = emulated::pair(emulated::matrix_row(rows, q, 2 * (lane % 4))[lane / 4],
                                  emulated::matrix_row(rows, q, 2 *(lane % 4) + 1)[lane / 4]);
  }
}

inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __nv_bfloat16) {
  emulated::multiply_add_16<__nv_bfloat16>("multiply_add bf16", c, a, b0, b1);
}
inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __half) {
  emulated::multiply_add_16<__half>("multiply_add f16", c, a, b0, b1);
}

// tf32, 16x8x8: A (row, k) lies with lane 4*(row%8) + k%4 in register 2*(k/4) + row/8; B (k, column) with lane
// 4*column + k%4 in register k/4. Operands lose the 13 low bits, which a GPU ignores.
inline void multiply_add_tf32(float (&c)[4], const float (&a)[4], float b0, float b1) {
  const auto cut = [](float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0xffffe000u;
    memcpy(&value, &bits, sizeof bits);
    return value;
  };
  struct Operands {
    float a[4], b[2];
  };
  const Operands* lanes = emulator::exchange(
      "multiply_add tf32", Operands{{cut(a[0]), cut(a[1]), cut(a[2]), cut(a[3])}, {cut(b0), cut(b1)}});
  emulated::accumulate(
      c, 8, [&](int row, int k) { return lanes[4 * (row % 8) + k % 4].a[2 * (k / 4) + row / 8]; },
      [&](int k, int column) { return lanes[4 * column + k % 4].b[k / 4]; });
}

inline float round_tf32(float value) {
  if (!std::isfinite(value)) return value;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x1000u) & 0xffffe000u;
  memcpy(&value, &bits, sizeof bits);
  return value;
}

template <auto kKernel>
int max_cluster() {
  return 8;
}

struct Grid {
  unsigned blocks;
  int threads, shared, cluster;
  bool cooperative;
};

template <auto kKernel, class Argument>
const char* launch_kernel(const Grid& grid, void*, const Argument& argument) {
  // The compiler's name of this function holds that of the kernel.
  const std::string_view bytes(reinterpret_cast<const char*>(&argument), sizeof argument);
  emulator::run({__PRETTY_FUNCTION__, grid.blocks, static_cast<unsigned>(grid.threads), grid.shared,
                 static_cast<unsigned>(grid.cluster), grid.cooperative, bytes},
                [&] { kKernel(argument); });
  return nullptr;
}

}  // namespace sma::cuda
