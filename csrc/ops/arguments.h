// From tensors to the sizes and pointers of sma_attention.h, for every device.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "../sma_attention.h"

namespace sma {

using OptionalTensor = std::optional<at::Tensor>;

Dtype dtype_of(at::ScalarType type);
at::ScalarType wide_type(at::ScalarType type);

// The arguments that every private operator shares, in the order of its schema.
struct HeadArguments {
  const OptionalTensor& values;
  const OptionalTensor& features;
  const OptionalTensor& maps;
  const OptionalTensor& weight;
  const OptionalTensor& bias;
  double temperature;
  const OptionalTensor& temperature_tensor;
  double gate;
  const OptionalTensor& gate_tensor;
  const OptionalTensor& relation_bias;
  std::string_view activation;
  std::string_view merge;
  double margin;
  bool diversify;
  bool correlate;
};

// One call, with the tensors that its pointers point into.
class Call {
 public:
  explicit Call(const HeadArguments& arguments);

  Shape shape{};
  Inputs inputs{};
  at::ScalarType type, wide;

  at::TensorOptions options() const { return options_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t merged_rows() const { return inputs.merge == Merge::none ? shape.maps() : shape.regions; }

 private:
  friend class GradientTensors;
  FeatureMap feature_map(const at::Tensor& tensor);
  const void* parameter(const OptionalTensor& tensor);
  Scalar scalar(double value, const OptionalTensor& tensor);

  std::vector<at::Tensor> held_;
  at::TensorOptions options_;
  int64_t height_ = 0, width_ = 0;
};

// Outputs and gradients as the operators return them; undefined where the stage is absent.
using OutputTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using GradientTuple =
    std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

// What a backward gets, in the order of its schema: the gradients of pooled, attention, maps, diversity and
// correlation; and the saved attention, maps, correlation, attention_sum and winner.
using FiveTensors = std::array<OptionalTensor, 5>;

// Uninitialised outputs; `tensors` holds what `pointers` points into.
struct AllocatedOutputs {
  OutputTensors tensors;
  Outputs pointers;

  explicit AllocatedOutputs(const Call& call);
};

// GradInputs in the layout that a kernel writes; `result` brings them to each input's dtype and strides.
class GradientTensors {
 public:
  GradientTensors(const HeadArguments& arguments, const Call& call, at::ArrayRef<bool> needs);

  GradInputs pointers{};
  GradientTuple result() const;

 private:
  FeatureMap feature_gradient(int index, const OptionalTensor& input, bool needed);
  void* wide_gradient(int index, const OptionalTensor& input, bool needed, at::ScalarType wide);

  std::array<at::Tensor, 8> written_, returned_;
};

// ValueError unless every incoming gradient and saved result is there where its stage runs, with the size, dtype and
// device that the forward gave it. Kernels read them by the sizes of the call.
void check_arrived(const Call& call, const FiveTensors& cotangents, const FiveTensors& saved);

// Pointers to saved results and incoming gradients, made contiguous where they are not.
class Arrived {
 public:
  GradOutputs cotangents(const FiveTensors& tensors);
  Saved saved(const FiveTensors& tensors, const OptionalTensor& given_maps);

 private:
  const void* pointer(const OptionalTensor& tensor);

  std::vector<at::Tensor> held_;
};

}  // namespace sma
