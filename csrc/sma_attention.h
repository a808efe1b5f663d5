// Sizes and pointers of one call: the one description that all kernels share.
// No torch header is included here, so that a kernel file compiles in seconds.
//
// The five operators run one pipeline: maps (from features, or the caller's) -> cosine Gram -> diversity, correlation
// -> refine -> merge -> pool. A stage runs if its pointers are set.
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

// A float, or a 0-d acc_t tensor if `data` is not null (it may be in device memory).
struct Scalar {
  const void* data;
  double value;
};

// T is the dtype of values, features and maps; acc_t, of parameters and sums, is float, or double if T is double.
struct Inputs {
  FeatureMap values;          // T [B,C,L]
  FeatureMap features;        // T [B,G*D,L]
  const void* maps;           // T [B,N,L]; null if maps come from features
  const void* weight;         // acc_t [R,K,D]
  const void* bias;           // acc_t [R,K], may be null
  const void* relation_bias;  // acc_t [N,N], may be null
  const bool* mask;           // [B,L], true where a position is valid; null if all are, or if maps are the caller's
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
  void* attention;      // T [B,A,L], null if A is the caller's maps
  void* maps;           // T [B,N,L], null if maps are the caller's
  void* diversity;      // acc_t [B]
  void* correlation;    // acc_t [B,N,N]
  void* attention_sum;  // acc_t [B,A], before the floor
  uint8_t* argmax;      // [B,R,L], channel of the maximum, for Merge::max
};

// Forward results that the backward reads; attention is the caller's maps if the forward wrote none. The pooled values
// are not needed: <df, f> = sum_l A_l dA_l, with the unnormalized dA, avoids their rounding.
struct Saved {
  const void* attention;
  const void* maps;
  const void* correlation;
  const void* attention_sum;
  const uint8_t* argmax;
};

// Gradients of the outputs, contiguous; null if absent.
struct GradOutputs {
  const void* pooled;       // T [B,A,C]
  const void* attention;    // T [B,A,L]
  const void* maps;         // T [B,N,L]
  const void* diversity;    // acc_t [B]
  const void* correlation;  // acc_t [B,N,N]
};

// Gradients of the inputs; data null if not needed.
struct GradInputs {
  FeatureMap values;    // T
  FeatureMap features;  // T
  void* maps;           // T [B,N,L]
  void* weight;         // acc_t [R,K,D]
  void* bias;           // acc_t [R,K]
  void* temperature;    // acc_t []
  void* gate;           // acc_t []
  void* relation_bias;  // acc_t [N,N]
};

}  // namespace sma
