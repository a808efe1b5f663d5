// Runs the CPU kernels over one sample, without torch: once, so that callgrind can count what they execute, or in
// rounds of ten calls, so that the middle round tells their time while the sample lies in the caches. Arguments:
// forward or backward; nchw or nhwc; R K D C L; rounds (0: once). Prints nanoseconds where there are rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "../csrc/cpu/kernels.h"

namespace {

std::vector<float> numbers(int64_t count, float scale) {
  std::vector<float> found(count);
  uint32_t state = 1;
  for (float& value : found) {
    state = state * 1664525u + 1013904223u;
    value = scale * static_cast<float>(state >> 8) / 16777216.0f;
  }
  return found;
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
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    time = taken.count() / 10;
  }
  std::sort(times.begin(), times.end());
  if (rounds) std::printf("%.0f\n", times[rounds / 2]);
}

}  // namespace

// What is counted: callgrind is told to collect inside these two alone.
extern "C" __attribute__((noinline)) void counted_forward(const sma::cpu::Kernels& k, const sma::Shape& shape,
                                                          const sma::Inputs& in, const sma::Outputs& out,
                                                          void* scratch) {
  k.forward_maps(shape, in, out, out.attention, 0, scratch);
  k.forward_pool(shape, in, out, out.attention, 0, 0, shape.values, scratch);
}

extern "C" __attribute__((noinline)) void counted_backward(const sma::cpu::Kernels& k, const sma::Shape& shape,
                                                           const sma::Inputs& in, const sma::Saved& saved,
                                                           const sma::Cotangents& c, const sma::Gradients& g,
                                                           void* partial, void* scratch) {
  k.backward(shape, in, saved, c, g, partial, 0, scratch);
}

int main(int count, char** arguments) {
  if (count != 9) return 2;
  const int rounds = std::atoi(arguments[8]);
  const bool backwards = !std::strcmp(arguments[1], "backward"), last = !std::strcmp(arguments[2], "nhwc");
  const auto size = [&](int i) { return std::atoll(arguments[i]); };
  const sma::Shape shape{1, size(3), size(4), size(4), size(5), size(6), size(7)};
  const int64_t L = shape.positions, N = shape.maps(), F = shape.groups * shape.embed;
  auto values = numbers(shape.values * L, 1), features = numbers(F * L, 1), weight = numbers(N * shape.embed, 0.2f);
  auto bias = numbers(N, 0), relation = numbers(N * N, 0);
  sma::Inputs in{};
  in.values = map_of(values, shape.values, L, last);
  in.features = map_of(features, F, L, last);
  in.weight = weight.data();
  in.bias = bias.data();
  in.relation_bias = relation.data();
  in.temperature.value = 0.1;
  in.gate.value = 0.5;
  in.margin = 0.5;
  in.diversify = in.correlate = true;
  std::vector<float> pooled(shape.regions * shape.values), attention(shape.regions * L), maps(N * L), diversity(1),
      correlation(N * N), sum(shape.regions);
  std::vector<uint8_t> winner(shape.regions * L);
  const sma::Outputs out{pooled.data(),      attention.data(), maps.data(),  diversity.data(),
                         correlation.data(), sum.data(),       winner.data()};
  const sma::cpu::Kernels& k = sma::cpu::kernels(sma::Dtype::f32);
  const size_t bytes = k.forward_scratch(shape, in) + k.backward_scratch(shape, in);
  std::unique_ptr<void, void (*)(void*)> scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64), std::free);
  run(backwards ? 0 : rounds, [&] { counted_forward(k, shape, in, out, scratch.get()); });
  if (!backwards) return 0;
  const sma::Saved saved{attention.data(), maps.data(), correlation.data(), sum.data(), winner.data()};
  auto dpooled = numbers(shape.regions * shape.values, 1), ddiversity = numbers(1, 1);
  sma::Cotangents c{};
  c.pooled = dpooled.data();
  c.diversity = ddiversity.data();
  std::vector<float> dvalues(values.size()), dfeatures(features.size()), dweight(weight.size()), dbias(N),
      drelation(N * N), dtemperature(1), dgate(1);
  sma::Gradients g{};
  g.values = map_of(dvalues, shape.values, L, last);
  g.features = map_of(dfeatures, F, L, last);
  g.weight = dweight.data();
  g.bias = dbias.data();
  g.relation_bias = drelation.data();
  g.temperature = dtemperature.data();
  g.gate = dgate.data();
  std::vector<float> partial(k.partial_size(shape));
  run(rounds, [&] { counted_backward(k, shape, in, saved, c, g, partial.data(), scratch.get()); });
  return 0;
}
