// The `cpu` backend on tensors, and its private operators.
#include <ATen/Parallel.h>

#include <atomic>

#include "../cpu/kernels.h"
#include "backend.h"
#include "registration.h"

namespace sma {
namespace {

// Parameter gradients are summed over groups of samples, each in order, then over the groups in order: the bits do not
// depend on the number of threads. Every group has its own sums: more groups cost memory, fewer leave cores idle.
constexpr int64_t kMaxGroups = 64, kSamplesPerGroup = 2;

// With this many samples per thread, a thread runs whole samples; with fewer, several threads pool one sample.
constexpr int64_t kSamplesPerThread = 4;

// Dynamic scheduling: a late or preempted thread simply takes fewer jobs.
template <typename Body>
void parallel(int64_t jobs, size_t scratch_bytes, const KernelArgs& call, Body body) {
  const int64_t threads = at::get_num_threads();
  const at::Tensor scratch = at::empty({threads, static_cast<int64_t>(scratch_bytes)}, call.options().dtype(at::kByte));
  char* memory = static_cast<char*>(scratch.data_ptr());
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(jobs, threads), 1, [&](int64_t, int64_t) {
    char* own = memory + at::get_thread_num() * static_cast<int64_t>(scratch_bytes);
    for (int64_t job = next++; job < jobs; job = next++) body(job, own);
  });
}

// The attention [B,A,L] that pooling reads, in the accumulation type: the output itself if it has that type, else a
// buffer.
at::Tensor accum_attention(const KernelArgs& call, const OutputTensors& tensors) {
  const at::Tensor& attention = tensors[1];
  if (!call.inputs.values.data && !attention.defined()) return {};
  if (attention.defined() && call.type == call.accum) return attention;
  return at::empty({call.shape.batch, call.merged_rows(), call.shape.positions}, call.options().dtype(call.accum));
}

OutputTensors forward_on_cpu(const AttentionArgs& args) {
  const KernelArgs call(args);
  const cpu::Kernels& kernels = cpu::kernels(dtype_of(call.type));
  AllocatedOutputs out(call);
  const at::Tensor attention = accum_attention(call, out.tensors);
  void* attention_data = attention.defined() ? attention.data_ptr() : nullptr;
  const size_t bytes = kernels.forward_scratch(call.shape, call.inputs);
  const int64_t batch = call.shape.batch, channels = call.shape.values;
  const auto maps = [&](int64_t sample, void* scratch) {
    kernels.forward_maps(call.shape, call.inputs, out.pointers, attention_data, sample, scratch);
  };
  const auto pool = [&](int64_t sample, int64_t first, int64_t last, void* scratch) {
    kernels.forward_pool(call.shape, call.inputs, out.pointers, attention_data, sample, first, last, scratch);
  };
  if (batch >= kSamplesPerThread * at::get_num_threads() || !channels) {
    parallel(batch, bytes, call, [&](int64_t sample, void* scratch) {
      maps(sample, scratch);
      if (channels) pool(sample, 0, channels, scratch);
    });
  } else {
    const int64_t chunks = (channels + cpu::kPoolChunk - 1) / cpu::kPoolChunk;
    parallel(batch, bytes, call, maps);
    parallel(batch * chunks, bytes, call, [&](int64_t job, void* scratch) {
      const int64_t first = job % chunks * cpu::kPoolChunk;
      pool(job / chunks, first, std::min(first + cpu::kPoolChunk, channels), scratch);
    });
  }
  return out.tensors;
}

GradInputTensors backward_on_cpu(const GradOutputTensors& grad_outputs, const SavedTensors& saved,
                                 const AttentionArgs& args, const Needs& needs) {
  const KernelArgs call(args);
  check_backward_inputs(call, grad_outputs, saved);
  const BackwardPointers in(grad_outputs, saved, args);
  const cpu::Kernels& kernels = cpu::kernels(dtype_of(call.type));
  AllocatedGrads out(args, call, needs);
  const int64_t batch = call.shape.batch,
                groups = std::min((batch + kSamplesPerGroup - 1) / kSamplesPerGroup, kMaxGroups);
  const int64_t partial_size = static_cast<int64_t>(kernels.partial_size(call.shape));
  const at::Tensor partials = at::zeros({groups, partial_size}, call.options().dtype(call.accum));
  char* memory = static_cast<char*>(partials.data_ptr());
  const int64_t partial_bytes = partial_size * partials.element_size();
  parallel(groups, kernels.backward_scratch(call.shape, call.inputs), call, [&](int64_t group, void* scratch) {
    for (int64_t sample = batch * group / groups; sample < batch * (group + 1) / groups; ++sample)
      kernels.backward(call.shape, call.inputs, in.saved, in.grad_outputs, out.pointers, memory + group * partial_bytes,
                       sample, scratch);
  });
  kernels.reduce_partials(call.shape, out.pointers, memory, groups);
  return out.result();
}

using Key = c10::DispatchKey;
const c10::DispatchKeySet own_keys({Key::CPU, Key::AutogradCPU, Key::AutocastCPU});
const bool added = add_backend({"cpu", own_keys, forward_on_cpu, backward_on_cpu});

}  // namespace

TORCH_LIBRARY_IMPL(sma_kernels, CPU, m) {
  m.impl("_forward_cpu", boxed_forward<forward_on_cpu>());
  m.impl("_backward_cpu", boxed_backward<backward_on_cpu>());
}

}  // namespace sma
