// Vectors of the instruction set being compiled, element conversion, and exp. The compiler's vector types serve
// wherever they suffice; intrinsics do the rest.
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

// Not std::min: an out-of-line copy compiled for one instruction set could be linked into another's code.
SMA_INLINE int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
SMA_INLINE int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

template <typename acc_t>
constexpr int lanes = SMA_VECTOR_BYTES / sizeof(acc_t);

template <typename E, int count>
struct VectorOf {
  typedef E type __attribute__((vector_size(count * sizeof(E))));
};
template <typename acc_t>
using Vector = typename VectorOf<acc_t, lanes<acc_t>>::type;

template <typename acc_t>
using IndexOf = std::conditional_t<sizeof(acc_t) == 4, int32_t, int64_t>;
template <typename acc_t>
using Index = typename VectorOf<IndexOf<acc_t>, lanes<acc_t>>::type;

template <typename acc_t>
SMA_INLINE Vector<acc_t> broadcast(acc_t x) {
  return x - Vector<acc_t>{};
}

template <typename acc_t>
constexpr int64_t padded(int64_t n) {
  return (n + lanes<acc_t> - 1) / lanes<acc_t> * lanes<acc_t>;
}

template <typename To, typename From>
SMA_INLINE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast keeps the size");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// --- element conversion: T in memory, acc_t (float or double) in registers ---

SMA_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Rescaling by 2^112 also normalizes subnormals.
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

SMA_INLINE float to_acc(float x) { return x; }
SMA_INLINE double to_acc(double x) { return x; }
SMA_INLINE float to_acc(bf16 x) { return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
SMA_INLINE float to_acc(f16 x) { return half_to_float(x.bits); }

SMA_INLINE void from_acc(float x, float* to) { *to = x; }
SMA_INLINE void from_acc(double x, double* to) { *to = x; }
SMA_INLINE void from_acc(float x, bf16* to) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  to->bits = static_cast<uint16_t>(x == x ? rounded : (bits >> 16 | 0x40u));
}
SMA_INLINE void from_acc(float x, f16* to) { to->bits = float_to_half(x); }

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
  const Words bf16_bits = v == v ? rounded : (bits >> 16 | 0x40u);
  const HalfWords half = __builtin_convertvector(bf16_bits, HalfWords);
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
  for (int i = 0; i < lanes<float>; ++i) v[i] = to_acc(p[i]);
  return v;
}
SMA_INLINE void store(Vector<float> v, f16* p) {
  for (int i = 0; i < lanes<float>; ++i) from_acc(v[i], p + i);
}
#endif

// --- exp ---

SMA_INLINE Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

// Cody-Waite reduction and a polynomial of degree 6 on [-ln2/2, ln2/2]: below 2 ulp. Results below the smallest
// normal number flush to 0; NaN stays NaN.
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

template <typename acc_t, int step, size_t... j>
SMA_INLINE Vector<acc_t> rotated(Vector<acc_t> v, std::index_sequence<j...>) {
  return __builtin_shufflevector(v, v, ((j + step) % lanes<acc_t>)...);
}

// Reduces the lanes with `combine`, as a tree.
template <typename acc_t, typename Combine, int step = lanes<acc_t> / 2>
SMA_INLINE acc_t fold_lanes(Vector<acc_t> v, Combine combine) {
  if constexpr (step == 0) {
    return v[0];
  } else {
    return fold_lanes<acc_t, Combine, step / 2>(
        combine(v, rotated<acc_t, step>(v, std::make_index_sequence<lanes<acc_t>>{})), combine);
  }
}

template <typename acc_t>
SMA_INLINE acc_t sum_lanes(Vector<acc_t> v) {
  return fold_lanes<acc_t>(v, [](Vector<acc_t> a, Vector<acc_t> b) { return a + b; });
}

// Elements that are summed sequentially. Longer sums are sums of such blocks, so that the error grows with the number
// of blocks, not with the length.
template <typename acc_t>
constexpr int64_t kSumBlock = 64 * lanes<acc_t>;

// term(0) + term(lanes) + ... up to `width`, per lane.
template <typename acc_t, typename Term>
SMA_INLINE Vector<acc_t> sum_vectors(int64_t width, Term term) {
  Vector<acc_t> total{};
  for (int64_t start = 0; start < width; start += kSumBlock<acc_t>) {
    const int64_t stop = min_of(start + kSumBlock<acc_t>, width);
    Vector<acc_t> block{};
    for (int64_t i = start; i < stop; i += lanes<acc_t>) block += term(i);
    total += block;
  }
  return total;
}

// Sum of `count` contiguous elements.
template <typename acc_t>
SMA_INLINE acc_t row_sum(const acc_t* row, int64_t count) {
  const int64_t whole = count / lanes<acc_t> * lanes<acc_t>;
  acc_t total = sum_lanes<acc_t>(sum_vectors<acc_t>(whole, [&](int64_t i) { return load(row + i); }));
  for (int64_t i = whole; i < count; ++i) total += row[i];
  return total;
}

}  // namespace
}  // namespace sma::cpu::SMA_ISA
