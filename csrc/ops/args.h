// Converts the arguments of a private operator to the sizes and pointers of sma_attention.h, for every device.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../sma_attention.h"

namespace sma {

using OptionalTensor = std::optional<at::Tensor>;

Dtype dtype_of(at::ScalarType type);
at::ScalarType accum_type(at::ScalarType type);
std::optional<Merge> merge_of(std::string_view name);
std::optional<Activation> activation_of(std::string_view name);

// The record of one call, as in sma_kernels/args.py: the arguments that all private operators share, in the order of
// their schema (sma_kernels/library.py).
struct AttentionArgs {
  static constexpr size_t kCount = 16;          // arguments in the schema
  static constexpr size_t kTensors = 9;         // the tensors among them
  static constexpr size_t kDifferentiable = 8;  // all tensors but the mask, which comes last

  OptionalTensor values;
  OptionalTensor features;
  OptionalTensor maps;
  OptionalTensor weight;
  OptionalTensor bias;
  double temperature;
  OptionalTensor temperature_tensor;
  double gate;
  OptionalTensor gate_tensor;
  OptionalTensor relation_bias;
  OptionalTensor mask;
  std::string_view activation;  // views into the IValues, which must outlive this
  std::string_view merge;
  double margin;
  bool diversify;
  bool correlate;

  explicit AttentionArgs(c10::ArrayRef<c10::IValue> arguments);

  // In the order of the schema, which is that of the gradients that a backward returns.
  std::array<OptionalTensor*, kTensors> tensors() {
    return {&values, &features, &maps, &weight, &bias, &temperature_tensor, &gate_tensor, &relation_bias, &mask};
  }

  // The input that defines batch, height, width, dtype and device.
  const at::Tensor& grid() const { return features ? *features : maps.value(); }
};

// An absent result is an undefined tensor internally, and an empty vector where torch saves or traces it: ahead-of-time
// compilers reject undefined tensors. No result that a backward reads is itself a vector.
at::Tensor or_placeholder(const at::Tensor& tensor, const at::TensorOptions& options);
OptionalTensor unless_placeholder(const at::Tensor& tensor);

// Why a call is invalid, and the type of the exception to raise.
struct Invalid {
  enum class Kind { value_error, type_error, runtime_error } kind;
  std::string message;
};

std::optional<Invalid> find_invalid(const AttentionArgs& args);
std::optional<Invalid> invalid_memory(const char* name, const at::Tensor& tensor);
[[noreturn]] void raise(const Invalid& problem);

// Sizes and pointers of a valid call, with the tensors that the pointers point into. Raises for an invalid one.
class KernelArgs {
 public:
  explicit KernelArgs(const AttentionArgs& args);

  Shape shape{};
  Inputs inputs{};
  at::ScalarType type, accum;

  at::TensorOptions options() const { return options_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t merged_rows() const { return inputs.merge == Merge::none ? shape.maps() : shape.regions; }

 private:
  FeatureMap feature_map(const at::Tensor& tensor);
  const void* parameter(const OptionalTensor& tensor);

  std::vector<at::Tensor> held_;
  at::TensorOptions options_;
  int64_t height_ = 0, width_ = 0;
};

// Outputs and gradients as the operators return them; undefined if the stage is absent.
using OutputTensors = std::array<at::Tensor, 7>;
using GradInputTensors = std::array<at::Tensor, AttentionArgs::kDifferentiable>;

// What a backward receives, in the order of its schema.
using GradOutputTensors = std::array<OptionalTensor, 5>;  // of pooled, attention, maps, diversity and correlation
using SavedTensors = std::array<OptionalTensor, 5>;       // attention, maps, correlation, attention_sum and winner
using Needs = std::array<bool, AttentionArgs::kDifferentiable>;

// Uninitialized outputs; `tensors` holds what `pointers` points into.
struct AllocatedOutputs {
  OutputTensors tensors;
  Outputs pointers;

  explicit AllocatedOutputs(const KernelArgs& call);
};

// Gradients in the layout that a kernel writes; `result` converts them to each input's dtype and strides.
class AllocatedGrads {
 public:
  AllocatedGrads(const AttentionArgs& args, const KernelArgs& call, const Needs& needs);

  GradInputs pointers{};
  GradInputTensors result() const;

 private:
  FeatureMap feature_grad(size_t index, const OptionalTensor& input, bool needed);
  void* parameter_grad(size_t index, const OptionalTensor& input, bool needed, at::ScalarType accum);

  GradInputTensors written_, returned_;
};

// ValueError unless every incoming gradient and saved result is present where its stage runs, with the size, dtype and
// device that the forward gave it. Kernels rely on the sizes of the call when they read them.
void check_backward_inputs(const KernelArgs& call, const GradOutputTensors& grad_outputs, const SavedTensors& saved);

// Pointers to saved results and incoming gradients, made contiguous where they are not.
class BackwardPointers {
 public:
  BackwardPointers(const GradOutputTensors& grad_outputs, const SavedTensors& saved, const AttentionArgs& args);

  GradOutputs grad_outputs{};
  Saved saved{};

 private:
  const void* pointer(const OptionalTensor& tensor);

  std::vector<at::Tensor> held_;
};

}  // namespace sma
