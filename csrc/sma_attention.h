// Sizes and pointers of one call of the attention head: the one description that all kernels share.
// No torch header is included here, so that a kernel file compiles in seconds.
//
// The five operators run one pipeline: maps (from features, or given) -> cosine Gram -> diversity, correlation
// -> refine -> merge -> pool. A stage runs when its pointers are there.
#pragma once

#include <cstdint>

namespace sma {

enum class Dtype { f32, f64, bf16, f16 };
enum class Activation { softmax, sigmoid };
enum class Merge { max, mean, none };

constexpr double kNormFloor = 1e-6;  // floor of a map's 2-norm in the cosine
constexpr double kSumFloor = 1e-6;   // floor of a map's sum in the pooling

struct Shape {
  int64_t batch;
  int64_t regions;    // R
  int64_t channels;   // K, attention channels of a region
  int64_t groups;     // G, feature groups: 1 or K
  int64_t embed;      // D, width of a feature group
  int64_t values;     // C, value channels
  int64_t positions;  // L = H*W

  int64_t maps() const { return regions * channels; }  // N; map n = r*K + k
};

// A [B,channels,L] view of a feature map. One of the two inner strides is 1: positions for NCHW, channels for
// channels_last.
struct FeatureMap {
  void* data;
  int64_t batch_stride;
  int64_t channel_stride;
  int64_t position_stride;
};

// A float, or a 0-d tensor in the wide dtype where `data` is not null (it may live on the device).
struct Scalar {
  const void* data;
  double value;
};

// T is the dtype of values, features and maps; wide is float, or double where T is double.
struct Inputs {
  FeatureMap values;          // T [B,C,L]
  FeatureMap features;        // T [B,G*D,L]
  const void* maps;           // T [B,N,L]; null where maps come from features
  const void* weight;         // wide [R,K,D]
  const void* bias;           // wide [R,K], may be null
  const void* relation_bias;  // wide [N,N], may be null
  Scalar temperature;
  Scalar gate;
  Activation activation;
  Merge merge;
  double margin;
  bool diversify;
  bool correlate;
};

// Rows of A: R of them, or N with Merge::none.
struct Outputs {
  void* pooled;         // T [B,A,C]
  void* attention;      // T [B,A,L], null where A is the given maps
  void* maps;           // T [B,N,L], null where maps are given
  void* diversity;      // wide [B]
  void* correlation;    // wide [B,N,N]
  void* attention_sum;  // wide [B,A], before the floor
  uint8_t* winner;      // [B,R,L] for Merge::max
};

// Forward results that the backward reads; attention is the given maps where the forward wrote none. The pooled values
// are not among them: <df, f> = sum_l A_l dA_l, with the un-normalised dA, is at hand without their rounding.
struct Saved {
  const void* attention;
  const void* maps;
  const void* correlation;
  const void* attention_sum;
  const uint8_t* winner;
};

// Incoming gradients, contiguous; null where none arrived.
struct Cotangents {
  const void* pooled;       // T [B,A,C]
  const void* attention;    // T [B,A,L]
  const void* maps;         // T [B,N,L]
  const void* diversity;    // wide [B]
  const void* correlation;  // wide [B,N,N]
};

// Outgoing gradients; data null where not needed.
struct Gradients {
  FeatureMap values;    // T
  FeatureMap features;  // T
  void* maps;           // T [B,N,L]
  void* weight;         // wide [R,K,D]
  void* bias;           // wide [R,K]
  void* temperature;    // wide []
  void* gate;           // wide []
  void* relation_bias;  // wide [N,N]
};

}  // namespace sma
