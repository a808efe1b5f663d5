// The two kinds of private operators, for every backend. Boxed, so that no C++ signature repeats the schema.
#pragma once

#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/stack.h>
#include <torch/library.h>

#include "args.h"

namespace sma {

template <typename Tensors>
void replace_arguments(torch::jit::Stack* stack, size_t count, Tensors&& results) {
  torch::jit::drop(*stack, count);
  for (at::Tensor& tensor : results) stack->emplace_back(std::move(tensor));
}

// `_forward_<backend>`: the arguments of AttentionArgs.
template <OutputTensors (*run)(const AttentionArgs&)>
void forward_op(const c10::OperatorHandle&, torch::jit::Stack* stack) {
  const AttentionArgs args(torch::jit::last(*stack, AttentionArgs::kCount));
  replace_arguments(stack, AttentionArgs::kCount, run(args));
}

// `_backward_<backend>`: five incoming gradients, five saved results, the arguments of AttentionArgs, and `needs`.
template <GradInputTensors (*run)(const GradOutputTensors&, const SavedTensors&, const AttentionArgs&, const Needs&)>
void backward_op(const c10::OperatorHandle&, torch::jit::Stack* stack) {
  constexpr size_t kGrads = std::tuple_size_v<GradOutputTensors>, kSaved = std::tuple_size_v<SavedTensors>;
  constexpr size_t kTotal = kGrads + kSaved + AttentionArgs::kCount + 1;
  const auto arguments = torch::jit::last(*stack, kTotal);
  GradOutputTensors grad_outputs;
  SavedTensors saved;
  for (size_t i = 0; i < kGrads; ++i) grad_outputs[i] = arguments[i].toOptional<at::Tensor>();
  for (size_t i = 0; i < kSaved; ++i) saved[i] = arguments[kGrads + i].toOptional<at::Tensor>();
  const AttentionArgs args(arguments.slice(kGrads + kSaved, AttentionArgs::kCount));
  const c10::List<bool> flags = arguments.back().toBoolList();
  Needs needs;
  TORCH_CHECK_VALUE(flags.size() == needs.size(), "needs must have ", needs.size(), " flags; got ", flags.size());
  for (size_t i = 0; i < needs.size(); ++i) needs[i] = flags[i];
  replace_arguments(stack, kTotal, run(grad_outputs, saved, args, needs));
}

template <OutputTensors (*run)(const AttentionArgs&)>
torch::CppFunction boxed_forward() {
  return torch::CppFunction::makeFromBoxedFunction<&forward_op<run>>();
}

template <GradInputTensors (*run)(const GradOutputTensors&, const SavedTensors&, const AttentionArgs&, const Needs&)>
torch::CppFunction boxed_backward() {
  return torch::CppFunction::makeFromBoxedFunction<&backward_op<run>>();
}

}  // namespace sma
