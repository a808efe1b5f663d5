// Runs the CPU kernels on one sample, without torch: once, for callgrind to count instructions, or in rounds of ten
// calls, whose median is the time with the sample in the caches. Arguments: forward or backward; nchw or nhwc; max,
// mean or none; R K G D C L; rounds (0: once); threads. With rounds, prints nanoseconds per call. Several threads are
// simulated by one: callgrind then counts what the first one does, on which the others wait.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "../csrc/cpu/kernels.h"

namespace {

std::vector<float> random_values(int64_t count, float scale) {
  std::vector<float> values(count);
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = scale * static_cast<float>(state >> 8) / 16777216.0f;
  }
  return values;
}

sma::FeatureMap map_of(std::vector<float>& data, int64_t channels, int64_t positions, bool channels_last) {
  return {data.data(), channels * positions, channels_last ? 1 : positions, channels_last ? channels : 1};
}

template <class Call>
void run(int rounds, const Call& call) {
  call();
  std::vector<double> times(rounds);
  for (double& time : times) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) call();
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    time = elapsed.count() / 10;
  }
  std::sort(times.begin(), times.end());
  if (rounds) std::printf("%.0f\n", times[rounds / 2]);
}

sma::Merge merge_of(const char* name) {
  if (!std::strcmp(name, "max")) return sma::Merge::max;
  return std::strcmp(name, "none") ? sma::Merge::mean : sma::Merge::none;
}

sma::cpu::Team team{1, nullptr, nullptr};

void run_range(int64_t first, int64_t last, sma::cpu::Team::Task task, const void* closure, int64_t worker) {
  for (int64_t i = first; i < last; ++i) task(closure, i, worker);
}

}  // namespace

// callgrind does not collect inside this function, which does what other threads would do.
extern "C" __attribute__((noinline)) void other_threads(int64_t per_thread, int64_t tasks, sma::cpu::Team::Task task,
                                                        const void* closure) {
  for (int64_t first = per_thread; first < tasks; first += per_thread)
    run_range(first, std::min(first + per_thread, tasks), task, closure, first / per_thread);
}

// Divides tasks like at::parallel_for; the first thread has as many as any other.
void simulate_threads(void*, int64_t tasks, sma::cpu::Team::Task task, const void* closure) {
  const int64_t per_thread = (tasks + team.workers - 1) / team.workers;
  run_range(0, std::min(per_thread, tasks), task, closure, 0);
  other_threads(per_thread, tasks, task, closure);
}

// callgrind collects only inside these two functions.
extern "C" __attribute__((noinline)) void counted_forward(const sma::cpu::Kernels& kernels, const sma::Shape& shape,
                                                          const sma::Inputs& in, const sma::Outputs& out,
                                                          void* scratch) {
  kernels.forward(shape, in, out, out.attention, 0, team, scratch);
}

extern "C" __attribute__((noinline)) void counted_backward(const sma::cpu::Kernels& kernels, const sma::Shape& shape,
                                                           const sma::Inputs& in, const sma::Saved& saved,
                                                           const sma::GradOutputs& grad_outputs,
                                                           const sma::GradInputs& grad_inputs, void* partial,
                                                           void* scratch) {
  kernels.backward(shape, in, saved, grad_outputs, grad_inputs, partial, 0, team, scratch);
}

int main(int count, char** arguments) {
  if (count != 12) return 2;
  const int rounds = std::atoi(arguments[10]);
  const bool is_backward = !std::strcmp(arguments[1], "backward"), channels_last = !std::strcmp(arguments[2], "nhwc");
  const auto size = [&](int i) { return std::atoll(arguments[i]); };
  const sma::cpu::Team threads{size(11), simulate_threads, nullptr};
  const sma::Shape shape{1, size(4), size(5), size(6), size(7), size(8), size(9)};
  const int64_t L = shape.positions, N = shape.maps(), F = shape.groups * shape.embed;
  auto values = random_values(shape.values * L, 1), features = random_values(F * L, 1),
       weight = random_values(N * shape.embed, 0.2f);
  auto bias = random_values(N, 0), relation = random_values(N * N, 0);
  sma::Inputs in{};
  in.values = map_of(values, shape.values, L, channels_last);
  in.features = map_of(features, F, L, channels_last);
  in.weight = weight.data();
  in.bias = bias.data();
  in.relation_bias = relation.data();
  in.temperature.value = 0.1;
  in.gate.value = 0.5;
  in.merge = merge_of(arguments[3]);
  in.margin = 0.5;
  in.diversify = in.correlate = true;
  const int64_t A = sma::cpu::merged_rows(shape, in);
  std::vector<float> pooled(A * shape.values), attention(A * L), maps(N * L), diversity(1), correlation(N * N), sum(A);
  std::vector<uint8_t> argmax(shape.regions * L);
  const sma::Outputs out{pooled.data(),      attention.data(), maps.data(),  diversity.data(),
                         correlation.data(), sum.data(),       argmax.data()};
  const sma::cpu::Kernels& kernels = sma::cpu::kernels(sma::Dtype::f32);
  const size_t bytes = kernels.forward_scratch(shape, in, size(11)) + kernels.backward_scratch(shape, in, size(11));
  std::unique_ptr<void, void (*)(void*)> scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64), std::free);
  // Before a counted backward, the forward has one thread: other_threads would turn the counting on.
  if (!is_backward) team = threads;
  run(is_backward ? 0 : rounds, [&] { counted_forward(kernels, shape, in, out, scratch.get()); });
  if (!is_backward) return 0;
  const sma::Saved saved{attention.data(), maps.data(), correlation.data(), sum.data(), argmax.data()};
  auto dpooled = random_values(A * shape.values, 1), ddiversity = random_values(1, 1);
  sma::GradOutputs grad_outputs{};
  grad_outputs.pooled = dpooled.data();
  grad_outputs.diversity = ddiversity.data();
  std::vector<float> dvalues(values.size()), dfeatures(features.size()), dweight(weight.size()), dbias(N),
      drelation(N * N), dtemperature(1), dgate(1);
  sma::GradInputs grad_inputs{};
  grad_inputs.values = map_of(dvalues, shape.values, L, channels_last);
  grad_inputs.features = map_of(dfeatures, F, L, channels_last);
  grad_inputs.weight = dweight.data();
  grad_inputs.bias = dbias.data();
  grad_inputs.relation_bias = drelation.data();
  grad_inputs.temperature = dtemperature.data();
  grad_inputs.gate = dgate.data();
  std::vector<float> partial(kernels.partial_size(shape));
  team = threads;
  run(rounds,
      [&] { counted_backward(kernels, shape, in, saved, grad_outputs, grad_inputs, partial.data(), scratch.get()); });
  return 0;
}
