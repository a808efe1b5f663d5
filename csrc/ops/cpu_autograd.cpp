// `sma_attention` on the CPU with its gradient, for calls that nothing watches (sma_kernels/fast_path.py). In C++: what
// Python executes between two kernels has left the caches by then, and costs several times what it does in a loop of
// small calls.
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/library.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"  // in the header's templates
#include <torch/csrc/autograd/custom_function.h>
#pragma GCC diagnostic pop

#include <algorithm>

#include "cpu.h"

namespace sma {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

OptionalTensor optional(const at::Tensor& tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

// A tensor that no transform or subclass of torch has a say in, whose sign is that of its memory, and without a
// tangent.
bool plain(const at::Tensor& tensor) {
  using Key = c10::DispatchKey;
  static const c10::DispatchKeySet usual({Key::CPU, Key::AutogradCPU, Key::ADInplaceOrView, Key::AutocastCPU});
  return !tensor.defined() || ((tensor.key_set() | usual) == usual && !tensor._fw_grad(0).defined());
}

bool plain(const OptionalTensor& tensor) { return !tensor || plain(*tensor); }

constexpr size_t kSaved = 5, kInputs = 7;  // tensors kept for the backward: results, then inputs

struct SmaAttention : torch::autograd::Function<SmaAttention> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& values, const at::Tensor& features,
                               const at::Tensor& weight, const OptionalTensor& bias, double temperature,
                               const OptionalTensor& temperature_tensor, double gate, const OptionalTensor& gate_tensor,
                               const OptionalTensor& relation_bias, std::string_view activation, std::string_view merge,
                               double margin) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto [pooled, attention, maps, diversity, correlation, attention_sum, winner] =
        forward_on_cpu({values, features, std::nullopt, weight, bias, temperature, temperature_tensor, gate,
                        gate_tensor, relation_bias, activation, merge, margin, true, true});
    const auto given = [](const OptionalTensor& tensor) { return tensor.value_or(at::Tensor()); };
    // As many saved tensors as the registered operator has: activation checkpointing may meet one of each.
    const at::Tensor kept_winner = winner.defined() ? winner : at::empty({0}, values.options());
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({attention, maps, correlation, attention_sum, kept_winner, values, features, weight,
                            given(bias), given(temperature_tensor), given(gate_tensor), given(relation_bias)});
    ctx->saved_data["settings"] =
        c10::ivalue::Tuple::create(temperature, gate, std::string(activation), std::string(merge), margin);
    return {pooled, attention, maps, diversity, correlation};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const variable_list kept = ctx->get_saved_variables();
    const auto settings = ctx->saved_data["settings"].toTuple();
    std::array<bool, kInputs> needs = needed(*ctx, kept);
    if (!cotangents[0].defined()) needs[0] = false;  // values reach the loss through the pooled output alone
    const auto found = (watched(cotangents, kept) ? registered_backward : direct_backward)(cotangents, kept,
                                                                                           settings->elements(), needs);
    const at::Tensor none;
    return {found[0], found[1], found[2], found[3], none, found[4], none, found[5], found[6], none, none, none};
  }

 private:
  using Found = std::array<at::Tensor, kInputs>;

  // The edges of a node are those of the inputs that are there.
  static std::array<bool, kInputs> needed(const AutogradContext& ctx, const variable_list& kept) {
    std::array<bool, kInputs> needs{};
    size_t edge = 0;
    for (size_t i = 0; i < kInputs; ++i)
      if (kept[kSaved + i].defined()) needs[i] = ctx.needs_input_grad(edge++);
    return needs;
  }

  // Whether the registered operator must be called: it refuses a second derivative, and modes and transforms know it.
  static bool watched(const variable_list& cotangents, const variable_list& kept) {
    const auto all_plain = [](const variable_list& tensors) {
      return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& tensor) { return plain(tensor); });
    };
    return at::GradMode::is_enabled() || c10::impl::TorchDispatchModeTLS::any_modes_set() || !all_plain(cotangents) ||
           !all_plain(kept);
  }

  static Found direct_backward(const variable_list& cotangents, const variable_list& kept,
                               c10::ArrayRef<c10::IValue> settings, const std::array<bool, kInputs>& needs) {
    FiveTensors arrived, saved;
    for (size_t i = 0; i < kSaved; ++i) arrived[i] = optional(cotangents[i]), saved[i] = optional(kept[i]);
    if (saved.back() && saved.back()->dim() == 1) saved.back().reset();  // stands for a winner that is not there
    std::array<OptionalTensor, kInputs> in;
    for (size_t i = 0; i < kInputs; ++i) in[i] = optional(kept[kSaved + i]);
    const auto [dvalues, dfeatures, dmaps, dweight, dbias, dtemperature, dgate, drelation_bias] = backward_on_cpu(
        arrived, saved,
        {in[0], in[1], std::nullopt, in[2], in[3], settings[0].toDouble(), in[4], settings[1].toDouble(), in[5], in[6],
         settings[2].toStringView(), settings[3].toStringView(), settings[4].toDouble(), true, true},
        {needs[0], needs[1], false, needs[2], needs[3], needs[4], needs[5], needs[6]});
    return {dvalues, dfeatures, dweight, dbias, dtemperature, dgate, drelation_bias};
  }

  static Found registered_backward(const variable_list& cotangents, const variable_list& kept,
                                   c10::ArrayRef<c10::IValue> settings, const std::array<bool, kInputs>& needs) {
    torch::jit::Stack stack;
    for (size_t i = 0; i < kSaved; ++i) stack.emplace_back(optional(cotangents[i]));
    for (size_t i = 0; i < kSaved + 4; ++i) stack.emplace_back(optional(kept[i]));
    stack.emplace_back(settings[0]);
    stack.emplace_back(optional(kept[kSaved + 4]));
    stack.emplace_back(settings[1]);
    stack.emplace_back(optional(kept[kSaved + 5]));
    stack.emplace_back(optional(kept[kSaved + 6]));
    stack.insert(stack.end(), settings.begin() + 2, settings.end());
    stack.emplace_back("cpu");
    stack.emplace_back(c10::List<bool>({needs[0], needs[1], needs[2], needs[3], needs[4], needs[5], needs[6]}));
    c10::Dispatcher::singleton().findSchemaOrThrow("sma_kernels::sma_attention_backward", "").callBoxed(stack);
    Found found;
    for (size_t i = 0; i < kInputs; ++i) found[i] = stack[i].toTensor();
    return found;
  }
};

using Public = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

Public sma_attention_cpu(const at::Tensor& values, const at::Tensor& features, const at::Tensor& weight,
                         const OptionalTensor& bias, double temperature, const OptionalTensor& temperature_tensor,
                         double gate, const OptionalTensor& gate_tensor, const OptionalTensor& relation_bias,
                         std::string_view activation, std::string_view merge, double margin) {
  TORCH_CHECK(plain(values) && plain(features) && plain(weight) && plain(bias) && plain(temperature_tensor) &&
                  plain(gate_tensor) && plain(relation_bias),
              "the short way takes plain tensors");
  const variable_list found = SmaAttention::apply(values, features, weight, bias, temperature, temperature_tensor, gate,
                                                  gate_tensor, relation_bias, activation, merge, margin);
  return {found[0], found[1], found[2], found[3], found[4]};
}

}  // namespace

TORCH_LIBRARY_IMPL(sma_kernels, CompositeImplicitAutograd, m) { m.impl("_sma_attention_cpu", sma_attention_cpu); }

}  // namespace sma
