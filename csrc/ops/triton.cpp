// The `triton` backend on the fast path: calls its private operators, which are in Python.
#include <ATen/core/dispatch/Dispatcher.h>

#include "backend.h"
#include "registration.h"

namespace sma {
namespace {

void push_arguments(torch::jit::Stack& stack, const AttentionArgs& args) {
  torch::jit::push(stack, args.values, args.features, args.maps, args.weight, args.bias, args.temperature,
                   args.temperature_tensor, args.gate, args.gate_tensor, args.relation_bias,
                   std::string(args.activation), std::string(args.merge), args.margin, args.diversify, args.correlate);
}

// Replaces the arguments on the stack.
template <typename Tensors>
Tensors call(const char* name, torch::jit::Stack& stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(stack);
  Tensors results;
  for (size_t i = 0; i < results.size(); ++i) results[i] = stack[i].toTensor();
  return results;
}

OutputTensors forward_on_triton(const AttentionArgs& args) {
  torch::jit::Stack stack;
  push_arguments(stack, args);
  return call<OutputTensors>("sma_kernels::_forward_triton", stack);
}

GradInputTensors backward_on_triton(const GradOutputTensors& grad_outputs, const SavedTensors& saved,
                                    const AttentionArgs& args, const Needs& needs) {
  torch::jit::Stack stack(grad_outputs.begin(), grad_outputs.end());
  stack.insert(stack.end(), saved.begin(), saved.end());
  push_arguments(stack, args);
  torch::jit::push(stack, c10::List<bool>(needs));
  return call<GradInputTensors>("sma_kernels::_backward_triton", stack);
}

using Key = c10::DispatchKey;
const c10::DispatchKeySet own_keys({Key::CUDA, Key::AutogradCUDA, Key::AutocastCUDA,  // ROCm's, too
                                    Key::CPU, Key::AutogradCPU, Key::AutocastCPU});   // in the interpreter
const bool added = add_backend({"triton", own_keys, forward_on_triton, backward_on_triton});

}  // namespace
}  // namespace sma
