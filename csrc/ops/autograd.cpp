// The fast path (sma_kernels/fast_path.py): one operator and its autograd node, for every fused backend. In C++ because
// cold Python between two kernels costs several times its warm cost.
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"  // in the header's templates
#include <torch/csrc/autograd/custom_function.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <map>

#include "backend.h"
#include "registration.h"

namespace sma {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

OptionalTensor optional(const at::Tensor& tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

// A plain tensor of the backend's device: no functorch wrapper or subclass, no negative bit, no forward-mode tangent.
bool is_plain_eager(const at::Tensor& tensor, const Backend& backend) {
  const c10::DispatchKeySet usual = backend.own_keys.add(c10::DispatchKey::ADInplaceOrView);
  return !tensor.defined() || ((tensor.key_set() | usual) == usual && !tensor._fw_grad(0).defined());
}

bool are_plain_eager(const variable_list& tensors, const Backend& backend) {
  return std::all_of(tensors.begin(), tensors.end(), [&](auto& tensor) { return is_plain_eager(tensor, backend); });
}

// Whether the call is complete, valid, not empty and on plain tensors of the backend.
bool is_eligible(AttentionArgs& args, const Backend& backend) {
  if (!args.values || !args.features || !args.weight || args.maps) return false;
  for (const OptionalTensor* tensor : args.tensors())
    if (*tensor && !is_plain_eager(**tensor, backend)) return false;
  return !find_invalid(args) && args.features->size(0) > 0;
}

constexpr size_t kArguments = AttentionArgs::kCount + 1;  // and the name of the backend

constexpr size_t kSaved = std::tuple_size_v<SavedTensors>, kInputs = AttentionArgs::kTensors;

struct SmaAttention : torch::autograd::Function<SmaAttention> {
  // `inputs` are the present tensors of `args`, whose gradients autograd records; `arguments` are those of the schema.
  static variable_list forward(AutogradContext* ctx, at::TensorList /*inputs*/, const Backend* backend,
                               AttentionArgs* args, c10::ArrayRef<c10::IValue>* arguments) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [pooled, attention, maps, diversity, correlation, attention_sum, winner] = backend->forward(*args);
    // Saves as many tensors as the registered operator: activation checkpointing may recompute by the other path.
    variable_list saved{attention, maps, correlation, attention_sum, or_placeholder(winner, args->values->options())};
    for (const OptionalTensor* tensor : args->tensors()) saved.push_back(tensor->value_or(at::Tensor()));
    ctx->set_materialize_grads(false);
    ctx->save_for_backward(std::move(saved));
    std::vector<c10::IValue> settings;
    settings.reserve(kArguments);
    for (const c10::IValue& argument : *arguments) settings.push_back(argument.isTensor() ? c10::IValue() : argument);
    ctx->saved_data["arguments"] = c10::ivalue::Tuple::create(std::move(settings));
    return {pooled, attention, maps, diversity, correlation};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list stored = ctx->get_saved_variables();
    const auto arguments = ctx->saved_data["arguments"].toTuple();
    AttentionArgs args(arguments->elements());
    const auto inputs = args.tensors();
    Needs needs{};
    size_t edge = 0;  // a node has edges only for the inputs that are present
    for (size_t i = 0; i < kInputs; ++i) {
      *inputs[i] = optional(stored[kSaved + i]);
      if (*inputs[i] && i < needs.size()) needs[i] = ctx->needs_input_grad(edge++);
    }
    if (!grads[0].defined()) needs[0] = false;  // values reach the loss through the pooled output alone
    const Backend& backend = *find_backend(arguments->elements().back().toStringView());
    const bool direct = needs_kernel(grads, needs) && !needs_dispatch(grads, stored, backend);
    const GradInputTensors grad_inputs = direct ? direct_backward(grads, stored, args, needs, backend)
                                                : registered_backward(grads, stored, arguments->elements(), needs);
    variable_list returned;
    for (size_t i = 0; i < grad_inputs.size(); ++i)
      if (*inputs[i]) returned.push_back(grad_inputs[i]);
    returned.resize(returned.size() + (args.mask ? 1 : 0) + 3);  // of the mask, `backend`, `args` and `arguments`
    return returned;
  }

 private:
  // Whether anything must be computed: without incoming gradients, the registered backward only fills zeros.
  static bool needs_kernel(const variable_list& grads, const Needs& needs) {
    const auto defined = [](const at::Tensor& grad) { return grad.defined(); };
    return std::find(needs.begin(), needs.end(), true) != needs.end() &&
           std::any_of(grads.begin(), grads.end(), defined);
  }

  // Whether the registered backward must be called: it rejects second derivatives, and modes and transforms see it.
  static bool needs_dispatch(const variable_list& grads, const variable_list& stored, const Backend& backend) {
    return at::GradMode::is_enabled() || c10::impl::TorchDispatchModeTLS::any_modes_set() ||
           !are_plain_eager(grads, backend) || !are_plain_eager(stored, backend);
  }

  static GradInputTensors direct_backward(const variable_list& grads, const variable_list& stored,
                                          const AttentionArgs& args, const Needs& needs, const Backend& backend) {
    GradOutputTensors grad_outputs;
    SavedTensors saved;
    for (size_t i = 0; i < kSaved; ++i) grad_outputs[i] = optional(grads[i]), saved[i] = unless_placeholder(stored[i]);
    return backend.backward(grad_outputs, saved, args, needs);
  }

  // The registered operator's arguments are those of the private one, by name, except `maps` and the stages.
  static GradInputTensors registered_backward(const variable_list& grads, const variable_list& stored,
                                              c10::ArrayRef<c10::IValue> arguments, const Needs& needs) {
    static const auto backward = find_operator("sma_kernels::sma_attention_backward");
    static const auto own = find_operator("sma_kernels::_sma_attention");
    torch::jit::Stack stack;
    for (const at::Tensor& grad : grads) stack.emplace_back(optional(grad));
    for (size_t i = 0; i < kSaved; ++i) stack.emplace_back(optional(stored[i]));
    c10::List<bool> flags;
    std::vector<size_t> returned;
    size_t next_input = 0;
    for (size_t i = 0; i < kArguments; ++i) {
      const c10::Argument& argument = own.schema().arguments()[i];
      const bool is_tensor = argument.type()->isSubtypeOf(*c10::OptionalType::ofTensor());
      const size_t input = is_tensor ? next_input++ : kInputs;
      if (!backward.schema().argumentIndexWithName(argument.name())) continue;
      stack.push_back(is_tensor ? c10::IValue(optional(stored[kSaved + input])) : arguments[i]);
      if (is_tensor && input < needs.size()) flags.push_back(needs[input]), returned.push_back(input);
    }
    torch::jit::push(stack, flags);
    backward.callBoxed(stack);
    GradInputTensors grad_inputs;
    for (size_t i = 0; i < returned.size(); ++i) grad_inputs[returned[i]] = stack[i].toTensor();
    return grad_inputs;
  }

  static c10::OperatorHandle find_operator(const char* name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  }
};

variable_list run_with_gradient(const Backend& backend, AttentionArgs& args, c10::ArrayRef<c10::IValue> arguments) {
  variable_list inputs;
  for (const OptionalTensor* tensor : args.tensors())
    if (*tensor) inputs.push_back(**tensor);
  return SmaAttention::apply(at::TensorList(inputs), &backend, &args, &arguments);
}

variable_list run_without_gradient(const Backend& backend, const AttentionArgs& args) {
  const at::AutoDispatchBelowADInplaceOrView below;
  const auto [pooled, attention, maps, diversity, correlation, attention_sum, winner] = backend.forward(args);
  return {pooled, attention, maps, diversity, correlation};
}

bool requires_grad(AttentionArgs& args) {
  const auto tensors = args.tensors();
  return std::any_of(tensors.begin(), tensors.end(),
                     [](auto* tensor) { return *tensor && (*tensor)->requires_grad(); });
}

// The five outputs, or None if the call is left to the dispatcher.
void sma_attention(const c10::OperatorHandle&, torch::jit::Stack* stack) {
  const auto arguments = torch::jit::last(*stack, kArguments);
  AttentionArgs args(arguments);
  const Backend* backend = find_backend(arguments.back().toStringView());
  std::optional<variable_list> outputs;
  if (backend && is_eligible(args, *backend)) {
    const bool differentiable = at::GradMode::is_enabled() && requires_grad(args);
    outputs = differentiable ? run_with_gradient(*backend, args, arguments) : run_without_gradient(*backend, args);
  }
  torch::jit::drop(*stack, kArguments);
  torch::jit::push(*stack, std::move(outputs));
}

std::map<std::string_view, Backend>& backends() {
  static std::map<std::string_view, Backend> by_name;
  return by_name;
}

}  // namespace

bool add_backend(const Backend& backend) { return backends().emplace(backend.name, backend).second; }

const Backend* find_backend(std::string_view name) {
  const auto entry = backends().find(name);
  return entry == backends().end() ? nullptr : &entry->second;
}

TORCH_LIBRARY_IMPL(sma_kernels, CompositeImplicitAutograd, m) {
  m.impl("_sma_attention", torch::CppFunction::makeFromBoxedFunction<&sma_attention>());
}

}  // namespace sma
