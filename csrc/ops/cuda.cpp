// The private operators of the `cuda` backend. They allocate and launch on the current stream, without synchronization.
#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>

#include <array>
#include <atomic>

#include "../cuda/sma_attention_cuda.h"
#include "backend.h"
#include "registration.h"

namespace sma {
namespace {

// Blocks that may share a sample on a device, asked once: the driver takes microseconds to answer.
int max_cluster_on(c10::DeviceIndex index, const cudaDeviceProp& properties) {
  static std::array<std::atomic<int>, C10_COMPILE_TIME_MAX_GPUS> known{};
  std::atomic<int>& size = known.at(static_cast<size_t>(index));
  if (size.load() == 0) size = properties.major >= 9 ? cuda::max_cluster() : 1;
  return size.load();
}

cuda::Device current_device() {
  const cudaDeviceProp& properties = *at::cuda::getCurrentDeviceProperties();
  cuda::Device device{};
  device.shared_limit = static_cast<int>(properties.sharedMemPerBlockOptin);
  device.sm_count = properties.multiProcessorCount;
  device.max_cluster = max_cluster_on(at::cuda::current_device(), properties);
  device.cooperative = properties.cooperativeLaunch != 0;
  device.tf32 = at::globalContext().float32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL) ==
                at::Float32Precision::TF32;
  device.stream = at::cuda::getCurrentCUDAStream().stream();
  return device;
}

void check_supported(const KernelArgs& call) {
  TORCH_CHECK_VALUE(call.shape.batch > 0, "expected at least one sample, got an empty batch");
  const char* reason = cuda::not_supported_reason(dtype_of(call.type), call.shape);
  TORCH_CHECK_VALUE(!reason, reason);
}

// launch(device, memory) with a workspace of size_of(device) bytes.
template <class SizeOf, class Launch>
void launch_all(const KernelArgs& call, const SizeOf& size_of, const Launch& launch) {
  cuda::Device device = current_device();
  const auto attempt = [&] {
    const at::Tensor memory = at::empty({size_of(device)}, call.options().dtype(at::kByte));
    return launch(device, memory.data_ptr());
  };
  const char* failed = attempt();
  if (failed == cuda::kTooManyBlocks) {
    device.cooperative = false;
    failed = attempt();
  }
  TORCH_CHECK(!failed, "a kernel of sma_kernels was not launched: ", failed);
}

OutputTensors forward_on_cuda(const AttentionArgs& args) {
  const c10::cuda::CUDAGuard guard(args.grid().device());
  const KernelArgs call(args);
  check_supported(call);
  const Dtype dtype = dtype_of(call.type);
  AllocatedOutputs out(call);
  launch_all(
      call,
      [&](const cuda::Device& device) {
        return cuda::forward_workspace(dtype, call.shape, call.inputs, out.pointers, device);
      },
      [&](const cuda::Device& device, void* memory) {
        return cuda::forward(dtype, call.shape, call.inputs, out.pointers, device, memory);
      });
  return out.tensors;
}

GradInputTensors backward_on_cuda(const GradOutputTensors& grad_outputs, const SavedTensors& saved,
                                  const AttentionArgs& args, const Needs& needs) {
  const c10::cuda::CUDAGuard guard(args.grid().device());
  const KernelArgs call(args);
  check_supported(call);
  check_backward_inputs(call, grad_outputs, saved);
  const BackwardPointers in(grad_outputs, saved, args);
  AllocatedGrads out(args, call, needs);
  const Dtype dtype = dtype_of(call.type);
  launch_all(
      call,
      [&](const cuda::Device& device) {
        return cuda::backward_workspace(dtype, call.shape, call.inputs, in.grad_outputs, out.pointers, device);
      },
      [&](const cuda::Device& device, void* memory) {
        return cuda::backward(dtype, call.shape, call.inputs, in.saved, in.grad_outputs, out.pointers, device, memory);
      });
  return out.result();
}

using Key = c10::DispatchKey;
const c10::DispatchKeySet own_keys({Key::CUDA, Key::AutogradCUDA, Key::AutocastCUDA});
const bool added = add_backend({"cuda", own_keys, forward_on_cuda, backward_on_cuda});

}  // namespace

TORCH_LIBRARY_IMPL(sma_kernels, CUDA, m) {
  m.impl("_forward_cuda", boxed_forward<forward_on_cuda>());
  m.impl("_backward_cuda", boxed_backward<backward_on_cuda>());
}

}  // namespace sma
