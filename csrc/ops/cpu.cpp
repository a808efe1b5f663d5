// The `cpu` backend on tensors, and its private operators.
#include <ATen/Parallel.h>

#include <atomic>

#include "../cpu/kernels.h"
#include "backend.h"
#include "crew.h"
#include "registration.h"

namespace sma {
namespace {

// Parameter gradients are summed over groups of samples, each in order, then over the groups in order: the bits do not
// depend on the number of threads. Every group has its own sums: more groups cost memory, fewer leave cores idle.
constexpr int64_t kMaxGroups = 64, kSamplesPerGroup = 2;

// Multiply-adds of the forward of a sample from which on several threads are faster than one.
constexpr int64_t kWorthSharing = 1 << 20;

const cpu::Team kAlone{1, nullptr, nullptr};

bool is_worth_sharing(const KernelArgs& call) {
  const Shape& s = call.shape;
  const int64_t maps = s.maps(), relations = call.inputs.diversify || call.inputs.correlate ? 2 * maps : 0;
  return s.positions * (maps * (s.embed + relations) + call.merged_rows() * s.values) >= kWorthSharing;
}

at::Tensor scratch_of(int64_t teams, size_t bytes, const KernelArgs& call) {
  return at::empty({teams, static_cast<int64_t>(bytes)}, call.options().dtype(at::kByte));
}

// Calls body(job, team, scratch) for every job, on one thread each. Dynamic scheduling: a late or preempted thread
// simply takes fewer jobs.
template <typename Body>
void run_alone(int64_t jobs, size_t scratch_bytes, const KernelArgs& call, const Body& body) {
  const int64_t threads = at::get_num_threads();
  const at::Tensor scratch = scratch_of(threads, scratch_bytes, call);
  char* memory = static_cast<char*>(scratch.data_ptr());
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min(jobs, threads), 1, [&](int64_t, int64_t) {
    char* own = memory + at::get_thread_num() * static_cast<int64_t>(scratch_bytes);
    for (int64_t job = next++; job < jobs; job = next++) body(job, kAlone, own);
  });
}

// Calls body(job, team, scratch) for every job. As long as there are as many jobs as threads, each runs on one thread;
// all threads share large ones that would keep less than half of them busy. `scratch_bytes` is a function of the size
// of a team.
template <typename Bytes, typename Body>
void run_jobs(int64_t jobs, const KernelArgs& call, const Bytes& scratch_bytes, const Body& body) {
  const int64_t threads = at::get_num_threads(), rest = jobs % threads;
  const int64_t shared = threads > 1 && 2 * rest <= threads && is_worth_sharing(call) ? rest : 0;
  if (jobs > shared) run_alone(jobs - shared, scratch_bytes(1), call, body);
  if (shared == 0) return;
  const at::Tensor scratch = scratch_of(1, scratch_bytes(threads), call);
  with_crew(threads, [&](const cpu::Team& team) {
    for (int64_t job = jobs - shared; job < jobs; ++job) body(job, team, static_cast<char*>(scratch.data_ptr()));
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
  run_jobs(
      call.shape.batch, call,
      [&](int64_t workers) { return kernels.forward_scratch(call.shape, call.inputs, workers); },
      [&](int64_t sample, const cpu::Team& team, void* scratch) {
        kernels.forward(call.shape, call.inputs, out.pointers, attention_data, sample, team, scratch);
      });
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
  run_jobs(
      groups, call, [&](int64_t workers) { return kernels.backward_scratch(call.shape, call.inputs, workers); },
      [&](int64_t group, const cpu::Team& team, void* scratch) {
        for (int64_t sample = batch * group / groups; sample < batch * (group + 1) / groups; ++sample)
          kernels.backward(call.shape, call.inputs, in.saved, in.grad_outputs, out.pointers,
                           memory + group * partial_bytes, sample, team, scratch);
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
