// Vectors of the instruction set being compiled, element conversion, and exp. No intrinsics where the compiler's
// own vector types will do.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define SMA_INLINE inline __attribute__((always_inline))

namespace sma::cpu::SMA_ISA {
namespace {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

SMA_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
SMA_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

template <typename W>
constexpr int lanes = SMA_VECTOR_BYTES / sizeof(W);

template <typename E, int count>
struct VectorOf {
  typedef E type __attribute__((vector_size(count * sizeof(E))));
};
template <typename W>
using Vector = typename VectorOf<W, lanes<W>>::type;

template <typename W>
using IndexOf = std::conditional_t<sizeof(W) == 4, int32_t, int64_t>;
template <typename W>
using Index = typename VectorOf<IndexOf<W>, lanes<W>>::type;

template <typename W>
SMA_INLINE Vector<W> broadcast(W x) {
  return x - Vector<W>{};
}

template <typename W>
constexpr int64_t padded(int64_t n) {
  return (n + lanes<W> - 1) / lanes<W> * lanes<W>;
}

template <typename To, typename From>
SMA_INLINE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast keeps the size");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// --- element conversion: T in memory, W (float or double) in registers ---

SMA_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Rescaling by 2^112 also normalises subnormals.
  const float scaled = bit_cast<float>(magnitude << 13) * 5192296858534827628530496329220096.0f;
  return bit_cast<float>(bit_cast<uint32_t>(scaled) | sign);
}

SMA_INLINE uint16_t float_to_half(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds past 65504
  if (magnitude < 0x38800000u) {                        // subnormal: the addition of 0.5 rounds to even
    const float shifted = bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

SMA_INLINE float to_wide(float x) { return x; }
SMA_INLINE double to_wide(double x) { return x; }
SMA_INLINE float to_wide(bf16 x) { return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
SMA_INLINE float to_wide(f16 x) { return half_to_float(x.bits); }

SMA_INLINE void narrow(float x, float* to) { *to = x; }
SMA_INLINE void narrow(double x, double* to) { *to = x; }
SMA_INLINE void narrow(float x, bf16* to) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  to->bits = static_cast<uint16_t>(x == x ? rounded : (bits >> 16 | 0x40u));
}
SMA_INLINE void narrow(float x, f16* to) { to->bits = float_to_half(x); }

SMA_INLINE Vector<float> load(const float* p) {
  Vector<float> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
SMA_INLINE Vector<double> load(const double* p) {
  Vector<double> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
SMA_INLINE void store(Vector<float> v, float* p) { std::memcpy(p, &v, sizeof(v)); }
SMA_INLINE void store(Vector<double> v, double* p) { std::memcpy(p, &v, sizeof(v)); }

using Words = VectorOf<uint32_t, lanes<float>>::type;
using HalfWords = VectorOf<uint16_t, lanes<float>>::type;

SMA_INLINE Vector<float> load(const bf16* p) {
  HalfWords half;
  std::memcpy(&half, p, sizeof(half));
  return bit_cast<Vector<float>>(__builtin_convertvector(half, Words) << 16);
}
SMA_INLINE void store(Vector<float> v, bf16* p) {
  const Words bits = bit_cast<Words>(v);
  const Words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Words kept = v == v ? rounded : (bits >> 16 | 0x40u);
  const HalfWords half = __builtin_convertvector(kept, HalfWords);
  std::memcpy(p, &half, sizeof(half));
}

#if SMA_VECTOR_BYTES == 64
SMA_INLINE Vector<float> load(const f16* p) {
  return bit_cast<Vector<float>>(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
SMA_INLINE void store(Vector<float> v, f16* p) {
  const auto half = _mm512_cvtps_ph(bit_cast<__m512>(v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
}
#elif SMA_VECTOR_BYTES == 32
SMA_INLINE Vector<float> load(const f16* p) {
  return bit_cast<Vector<float>>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
SMA_INLINE void store(Vector<float> v, f16* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(bit_cast<__m256>(v), 0));
}
#else
SMA_INLINE Vector<float> load(const f16* p) {
  Vector<float> v;
  for (int i = 0; i < lanes<float>; ++i) v[i] = to_wide(p[i]);
  return v;
}
SMA_INLINE void store(Vector<float> v, f16* p) {
  for (int i = 0; i < lanes<float>; ++i) narrow(v[i], p + i);
}
#endif

// --- exp ---

SMA_INLINE Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

// Cody-Waite reduction and a polynomial of degree 6 on [-ln2/2, ln2/2]: below 2 ulp. Results under the smallest
// normal number are 0; NaN stays NaN.
SMA_INLINE Vector<float> exponential(Vector<float> x) {
  using V = Vector<float>;
  const V rounder = broadcast(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const V shifted = x * 1.44269504088896341f + rounder;
  const V n = shifted - rounder;
  const V r = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
  V poly = r * 1.388888889e-3f + 8.333333333e-3f;
  poly = poly * r + 4.166666667e-2f;
  poly = poly * r + 1.666666667e-1f;
  poly = poly * r + 0.5f;
  poly = poly * r * r + r + 1.0f;
  const Words exponent = (bit_cast<Words>(shifted) - bit_cast<Words>(rounder)) << 23;
  V result = bit_cast<V>(bit_cast<Words>(poly) + exponent);
  result = x < -87.33f ? V{} : result;
  result = x > 88.37f ? broadcast(INFINITY) : result;
  return x == x ? result : x;
}

template <typename W, int step, size_t... j>
SMA_INLINE Vector<W> rotated(Vector<W> v, std::index_sequence<j...>) {
  return __builtin_shufflevector(v, v, ((j + step) % lanes<W>)...);
}

// combine(combine(v0, v1), ...) over the lanes, as a tree.
template <typename W, typename Combine, int step = lanes<W> / 2>
SMA_INLINE W fold_lanes(Vector<W> v, Combine combine) {
  if constexpr (step == 0) {
    return v[0];
  } else {
    return fold_lanes<W, Combine, step / 2>(combine(v, rotated<W, step>(v, std::make_index_sequence<lanes<W>>{})),
                                            combine);
  }
}

template <typename W>
SMA_INLINE W sum_lanes(Vector<W> v) {
  return fold_lanes<W>(v, [](Vector<W> a, Vector<W> b) { return a + b; });
}

// Numbers that are summed one after the other in a lane. Longer sums are made of such blocks: their error grows with
// the blocks, not with their length.
template <typename W>
constexpr int64_t kSumBlock = 64 * lanes<W>;

// The sum of term(0), term(lanes), ... below `width`, lane by lane.
template <typename W, typename Term>
SMA_INLINE Vector<W> sum_vectors(int64_t width, Term term) {
  Vector<W> total{};
  for (int64_t start = 0; start < width; start += kSumBlock<W>) {
    const int64_t stop = least(start + kSumBlock<W>, width);
    Vector<W> block{};
    for (int64_t i = start; i < stop; i += lanes<W>) block += term(i);
    total += block;
  }
  return total;
}

// The sum of `count` numbers in a row.
template <typename W>
SMA_INLINE W sum_row(const W* row, int64_t count) {
  const int64_t whole = count / lanes<W> * lanes<W>;
  W total = sum_lanes<W>(sum_vectors<W>(whole, [&](int64_t i) { return load(row + i); }));
  for (int64_t i = whole; i < count; ++i) total += row[i];
  return total;
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
