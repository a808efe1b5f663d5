// The `triton` backend on the fast path: calls its private operators, which are in Python.
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>

#include "backend.h"
#include "registration.h"

namespace sma {
namespace {

// Pushes the arguments of the schema from `first` on. The schema says which are tensors, so that no list repeats them.
void push_arguments(torch::jit::Stack& stack, const c10::FunctionSchema& schema, size_t first,
                    const AttentionArgs& args) {
  const auto tensors = const_cast<AttentionArgs&>(args).tensors();  // only read
  const std::array<c10::IValue, AttentionArgs::kCount - AttentionArgs::kTensors> settings{
      args.temperature, args.gate,     std::string(args.activation), std::string(args.merge), args.margin,
      args.diversify,   args.correlate};
  size_t next_tensor = 0, next_setting = 0;
  for (size_t i = first; i < first + AttentionArgs::kCount; ++i) {
    const bool is_tensor = schema.arguments()[i].type()->isSubtypeOf(*c10::OptionalType::ofTensor());
    stack.push_back(is_tensor ? c10::IValue(*tensors[next_tensor++]) : settings[next_setting++]);
  }
}

// Replaces the arguments on the stack.
template <typename Tensors>
Tensors call(const c10::OperatorHandle& op, torch::jit::Stack& stack) {
  op.callBoxed(stack);
  Tensors results;
  for (size_t i = 0; i < results.size(); ++i) results[i] = stack[i].toTensor();
  return results;
}

OutputTensors forward_on_triton(const AttentionArgs& args) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("sma_kernels::_forward_triton", "");
  torch::jit::Stack stack;
  push_arguments(stack, op.schema(), 0, args);
  return call<OutputTensors>(op, stack);
}

GradInputTensors backward_on_triton(const GradOutputTensors& grad_outputs, const SavedTensors& saved,
                                    const AttentionArgs& args, const Needs& needs) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("sma_kernels::_backward_triton", "");
  torch::jit::Stack stack(grad_outputs.begin(), grad_outputs.end());
  stack.insert(stack.end(), saved.begin(), saved.end());
  push_arguments(stack, op.schema(), stack.size(), args);
  torch::jit::push(stack, c10::List<bool>(needs));
  return call<GradInputTensors>(op, stack);
}

using Key = c10::DispatchKey;
const c10::DispatchKeySet own_keys({Key::CUDA, Key::AutogradCUDA, Key::AutocastCUDA,  // ROCm's, too
                                    Key::CPU, Key::AutogradCPU, Key::AutocastCPU});   // in the interpreter
const bool added = add_backend({"triton", own_keys, forward_on_triton, backward_on_triton});

}  // namespace
}  // namespace sma
