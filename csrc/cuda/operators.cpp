// The private operators of the `cuda` backend: they allocate, and launch on the current stream without waiting.
#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include "../ops/arguments.h"
#include "sma_attention_cuda.h"

namespace sma {
namespace {

cuda::Device current_device() {
  const cudaDeviceProp& properties = *at::cuda::getCurrentDeviceProperties();
  cuda::Device device{};
  device.shared_limit = static_cast<int>(properties.sharedMemPerBlockOptin);
  device.sm_count = properties.multiProcessorCount;
  device.tf32 = at::globalContext().float32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL) ==
                at::Float32Precision::TF32;
  device.stream = at::cuda::getCurrentCUDAStream().stream();
  return device;
}

void check(const Call& call) {
  const char* reason = cuda::not_supported_reason(dtype_of(call.type), call.shape);
  TORCH_CHECK_VALUE(!reason, reason);
}

void check_launch(const char* failed) { TORCH_CHECK(!failed, "a kernel of sma_kernels was not launched: ", failed); }

at::Tensor workspace(const Call& call, int64_t bytes) { return at::empty({bytes}, call.options().dtype(at::kByte)); }

OutputTensors forward_cuda(const OptionalTensor& values, const OptionalTensor& features, const OptionalTensor& maps,
                           const OptionalTensor& weight, const OptionalTensor& bias, double temperature,
                           const OptionalTensor& temperature_tensor, double gate, const OptionalTensor& gate_tensor,
                           const OptionalTensor& relation_bias, std::string_view activation, std::string_view merge,
                           double margin, bool diversify, bool correlate) {
  const c10::cuda::CUDAGuard guard((features ? *features : maps.value()).device());
  const Call call({values, features, maps, weight, bias, temperature, temperature_tensor, gate, gate_tensor,
                   relation_bias, activation, merge, margin, diversify, correlate});
  check(call);
  const cuda::Device device = current_device();
  const Dtype dtype = dtype_of(call.type);
  AllocatedOutputs out(call);
  const at::Tensor memory =
      workspace(call, cuda::forward_workspace(dtype, call.shape, call.inputs, out.pointers, device));
  check_launch(cuda::forward(dtype, call.shape, call.inputs, out.pointers, device, memory.data_ptr()));
  return out.tensors;
}

GradientTuple backward_cuda(const OptionalTensor& grad_pooled, const OptionalTensor& grad_attention,
                            const OptionalTensor& grad_maps, const OptionalTensor& grad_diversity,
                            const OptionalTensor& grad_correlation, const OptionalTensor& attention,
                            const OptionalTensor& saved_maps, const OptionalTensor& correlation,
                            const OptionalTensor& attention_sum, const OptionalTensor& winner,
                            const OptionalTensor& values, const OptionalTensor& features, const OptionalTensor& maps,
                            const OptionalTensor& weight, const OptionalTensor& bias, double temperature,
                            const OptionalTensor& temperature_tensor, double gate, const OptionalTensor& gate_tensor,
                            const OptionalTensor& relation_bias, std::string_view activation, std::string_view merge,
                            double margin, bool diversify, bool correlate, c10::List<bool> needs) {
  const c10::cuda::CUDAGuard guard((features ? *features : maps.value()).device());
  const HeadArguments arguments{
      values,      features,      maps,       weight, bias,   temperature, temperature_tensor, gate,
      gate_tensor, relation_bias, activation, merge,  margin, diversify,   correlate};
  const Call call(arguments);
  check(call);
  const FiveTensors cotangents{grad_pooled, grad_attention, grad_maps, grad_diversity, grad_correlation};
  const FiveTensors kept{attention, saved_maps, correlation, attention_sum, winner};
  check_arrived(call, cotangents, kept);
  Arrived arrived;
  const Saved saved = arrived.saved(kept, maps);
  const GradOutputs given = arrived.cotangents(cotangents);
  c10::SmallVector<bool, 8> flags;
  for (const bool need : needs) flags.push_back(need);
  GradientTensors out(arguments, call, flags);
  const cuda::Device device = current_device();
  const Dtype dtype = dtype_of(call.type);
  const at::Tensor memory =
      workspace(call, cuda::backward_workspace(dtype, call.shape, call.inputs, given, out.pointers, device));
  check_launch(cuda::backward(dtype, call.shape, call.inputs, saved, given, out.pointers, device, memory.data_ptr()));
  return out.result();
}

}  // namespace

TORCH_LIBRARY_IMPL(sma_kernels, CUDA, m) {
  m.impl("_forward_cuda", forward_cuda);
  m.impl("_backward_cuda", backward_cuda);
}

}  // namespace sma
