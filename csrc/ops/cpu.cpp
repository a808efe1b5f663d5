// The `cpu` backend on tensors, and its private operators.
#include "cpu.h"

#include <ATen/Parallel.h>
#include <torch/library.h>

#include <atomic>

#include "../cpu/kernels.h"

namespace sma {
namespace {

// Parameter gradients are summed over runs of samples, each in order, then over the runs in order: the bits do not
// depend on the number of threads. Every run has sums of its own, so that more of them cost memory, fewer leave cores
// idle.
constexpr int64_t kMostRuns = 64, kSamplesOfRun = 2;

// With so many samples a thread, each is forwarded as a whole; with fewer, more threads than samples may pool.
constexpr int64_t kSamplesOfThread = 4;

// A free thread takes the next job: one that wakes late, or whose core is busy otherwise, does fewer.
template <typename Body>
void parallel(int64_t jobs, size_t scratch_bytes, const Call& call, Body body) {
  const int64_t threads = at::get_num_threads();
  const at::Tensor scratch = at::empty({threads, static_cast<int64_t>(scratch_bytes)}, call.options().dtype(at::kByte));
  char* memory = static_cast<char*>(scratch.data_ptr());
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(jobs, threads), 1, [&](int64_t, int64_t) {
    char* own = memory + at::get_thread_num() * static_cast<int64_t>(scratch_bytes);
    for (int64_t job = next++; job < jobs; job = next++) body(job, own);
  });
}

// The wide attention [B,A,L] that pooling reads: the output itself where it is wide, else a buffer.
at::Tensor wide_attention(const Call& call, const OutputTensors& tensors) {
  const at::Tensor& attention = std::get<1>(tensors);
  if (!call.inputs.values.data && !attention.defined()) return {};
  if (attention.defined() && call.type == call.wide) return attention;
  return at::empty({call.shape.batch, call.merged_rows(), call.shape.positions}, call.options().dtype(call.wide));
}

}  // namespace

OutputTensors forward_on_cpu(const HeadArguments& arguments) {
  const Call call(arguments);
  const cpu::Kernels& kernels = cpu::kernels(dtype_of(call.type));
  AllocatedOutputs out(call);
  const at::Tensor attention = wide_attention(call, out.tensors);
  void* wide = attention.defined() ? attention.data_ptr() : nullptr;
  const size_t bytes = kernels.forward_scratch(call.shape, call.inputs);
  const int64_t batch = call.shape.batch, channels = call.shape.values;
  const auto maps = [&](int64_t sample, void* scratch) {
    kernels.forward_maps(call.shape, call.inputs, out.pointers, wide, sample, scratch);
  };
  const auto pool = [&](int64_t sample, int64_t first, int64_t last, void* scratch) {
    kernels.forward_pool(call.shape, call.inputs, out.pointers, wide, sample, first, last, scratch);
  };
  if (batch >= kSamplesOfThread * at::get_num_threads() || !channels) {
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

GradientTuple backward_on_cpu(const FiveTensors& cotangents, const FiveTensors& kept, const HeadArguments& arguments,
                              at::ArrayRef<bool> needs) {
  const Call call(arguments);
  check_arrived(call, cotangents, kept);
  Arrived arrived;
  const Saved saved = arrived.saved(kept, arguments.maps);
  const GradOutputs given = arrived.cotangents(cotangents);
  const cpu::Kernels& kernels = cpu::kernels(dtype_of(call.type));
  GradientTensors out(arguments, call, needs);
  const int64_t batch = call.shape.batch, runs = std::min((batch + kSamplesOfRun - 1) / kSamplesOfRun, kMostRuns);
  const int64_t partial_size = static_cast<int64_t>(kernels.partial_size(call.shape));
  const at::Tensor partials = at::zeros({runs, partial_size}, call.options().dtype(call.wide));
  char* memory = static_cast<char*>(partials.data_ptr());
  const int64_t partial_bytes = partial_size * partials.element_size();
  parallel(runs, kernels.backward_scratch(call.shape, call.inputs), call, [&](int64_t run, void* scratch) {
    for (int64_t sample = batch * run / runs; sample < batch * (run + 1) / runs; ++sample)
      kernels.backward(call.shape, call.inputs, saved, given, out.pointers, memory + run * partial_bytes, sample,
                       scratch);
  });
  kernels.reduce_partials(call.shape, out.pointers, memory, runs);
  return out.result();
}

namespace {

OutputTensors forward_cpu(const OptionalTensor& values, const OptionalTensor& features, const OptionalTensor& maps,
                          const OptionalTensor& weight, const OptionalTensor& bias, double temperature,
                          const OptionalTensor& temperature_tensor, double gate, const OptionalTensor& gate_tensor,
                          const OptionalTensor& relation_bias, std::string_view activation, std::string_view merge,
                          double margin, bool diversify, bool correlate) {
  return forward_on_cpu({values, features, maps, weight, bias, temperature, temperature_tensor, gate, gate_tensor,
                         relation_bias, activation, merge, margin, diversify, correlate});
}

GradientTuple backward_cpu(const OptionalTensor& grad_pooled, const OptionalTensor& grad_attention,
                           const OptionalTensor& grad_maps, const OptionalTensor& grad_diversity,
                           const OptionalTensor& grad_correlation, const OptionalTensor& attention,
                           const OptionalTensor& saved_maps, const OptionalTensor& correlation,
                           const OptionalTensor& attention_sum, const OptionalTensor& winner,
                           const OptionalTensor& values, const OptionalTensor& features, const OptionalTensor& maps,
                           const OptionalTensor& weight, const OptionalTensor& bias, double temperature,
                           const OptionalTensor& temperature_tensor, double gate, const OptionalTensor& gate_tensor,
                           const OptionalTensor& relation_bias, std::string_view activation, std::string_view merge,
                           double margin, bool diversify, bool correlate, c10::List<bool> needs) {
  c10::SmallVector<bool, 8> flags;
  for (const bool need : needs) flags.push_back(need);
  return backward_on_cpu({grad_pooled, grad_attention, grad_maps, grad_diversity, grad_correlation},
                         {attention, saved_maps, correlation, attention_sum, winner},
                         {values, features, maps, weight, bias, temperature, temperature_tensor, gate, gate_tensor,
                          relation_bias, activation, merge, margin, diversify, correlate},
                         flags);
}

}  // namespace

TORCH_LIBRARY_IMPL(sma_kernels, CPU, m) {
  m.impl("_forward_cpu", forward_cpu);
  m.impl("_backward_cpu", backward_cpu);
}

}  // namespace sma
