// Runs forward and backward calls that arrive on standard input and answers on standard output; host_device.py is the
// other end. Every array is an allocation of its own, so that AddressSanitizer sees the first byte past it, and what a
// kernel must write holds NaN before.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../csrc/cuda/sma_attention_cuda.h"
#include "emulator.h"

void probe(int operation, const unsigned char* in, unsigned char* out);

namespace {

struct Free {
  void operator()(unsigned char* data) const { free(data); }
};

std::vector<std::unique_ptr<unsigned char, Free>> kept;

unsigned char* allocate(int64_t bytes) {
  auto* data = static_cast<unsigned char*>(malloc(bytes));
  memset(data, 0xff, bytes);
  kept.emplace_back(data);
  return data;
}

void read_bytes(void* to, size_t bytes) {
  if (bytes && fread(to, bytes, 1, stdin) != 1) _exit(0);
}

int64_t number() {
  int64_t value;
  read_bytes(&value, sizeof value);
  return value;
}

double real() {
  double value;
  read_bytes(&value, sizeof value);
  return value;
}

// An array: its bytes, or -1 for none; then where in them it starts, which may be an odd address; then the contents.
unsigned char* array() {
  const int64_t bytes = number();
  if (bytes < 0) return nullptr;
  const int64_t start = number();
  unsigned char* data = allocate(bytes);
  read_bytes(data, bytes);
  return data + start;
}

sma::FeatureMap strided(unsigned char* data) {
  const int64_t batch = number(), channel = number(), position = number();
  return {data, batch, channel, position};
}

struct Result {
  unsigned char* data;
  int64_t bytes;
};
std::vector<Result> results;

unsigned char* result() {
  const int64_t bytes = number();
  unsigned char* data = bytes < 0 ? nullptr : allocate(bytes);
  results.push_back({data, bytes});
  return data;
}

sma::Inputs read_inputs() {
  sma::Inputs in{};
  in.activation = static_cast<sma::Activation>(number());
  in.merge = static_cast<sma::Merge>(number());
  in.diversify = number() != 0;
  in.correlate = number() != 0;
  in.margin = real();
  in.temperature.value = real();
  in.gate.value = real();
  in.values = strided(array());
  in.features = strided(array());
  in.maps = array();
  in.weight = array();
  in.bias = array();
  in.relation_bias = array();
  in.temperature.data = array();
  in.gate.data = array();
  return in;
}

void answer() {
  for (const Result& found : results) {
    if (found.bytes > 0) fwrite(found.data, static_cast<size_t>(found.bytes), 1, stdout);
  }
  fflush(stdout);
  results.clear();
  kept.clear();
}

void check(const char* failed) {
  if (!failed) return;
  fprintf(stderr, "launch: %s\n", failed);
  _exit(4);
}

sma::cuda::Device read_device() {
  sma::cuda::Device device{};
  device.shared_limit = static_cast<int>(number());
  device.processors = static_cast<int>(number());
  device.tf32 = number() != 0;
  return device;
}

sma::Shape read_shape() {
  sma::Shape shape{};
  for (int64_t* size :
       {&shape.batch, &shape.regions, &shape.channels, &shape.groups, &shape.embed, &shape.values, &shape.positions}) {
    *size = number();
  }
  return shape;
}

void run_call(bool backwards) {
  const auto dtype = static_cast<sma::Dtype>(number());
  const sma::cuda::Device device = read_device();
  const sma::Shape shape = read_shape();
  const sma::Inputs in = read_inputs();
  if (!backwards) {
    sma::Outputs out{};
    out.pooled = result();
    out.attention = result();
    out.maps = result();
    out.diversity = result();
    out.correlation = result();
    out.attention_sum = result();
    out.argmax = result();
    const int64_t bytes = sma::cuda::forward_workspace(dtype, shape, in, out, device);
    check(sma::cuda::forward(dtype, shape, in, out, device, allocate(bytes)));
    return answer();
  }
  sma::Saved saved{};
  saved.attention = array();
  saved.maps = array();
  saved.correlation = array();
  saved.attention_sum = array();
  saved.argmax = array();
  sma::GradOutputs c{};
  for (const void** part : {&c.pooled, &c.attention, &c.maps, &c.diversity, &c.correlation}) *part = array();
  sma::GradInputs g{};
  g.values = strided(result());
  g.features = strided(result());
  for (void** part : {&g.maps, &g.weight, &g.bias, &g.temperature, &g.gate, &g.relation_bias}) *part = result();
  const int64_t bytes = sma::cuda::backward_workspace(dtype, shape, in, c, g, device);
  check(sma::cuda::backward(dtype, shape, in, saved, c, g, device, allocate(bytes)));
  answer();
}

void run_probe() {
  const int operation = static_cast<int>(number());
  const unsigned char* in = array();
  probe(operation, in, result());
  answer();
}

// Launches and bytes of workspace of a training step in NCHW, forward and backward, and the kernels' names as text that
// is filled up with zeros; its arrays are not there.
void count_call() {
  const auto dtype = static_cast<sma::Dtype>(number());
  const sma::cuda::Device device = read_device();
  const sma::Shape shape = read_shape();
  alignas(16) static unsigned char anything[16];
  void* const some = anything;
  const auto map_of = [&](int64_t channels) {
    return sma::FeatureMap{some, channels * shape.positions, shape.positions, 1};
  };
  sma::Inputs in{};
  in.merge = static_cast<sma::Merge>(number());
  in.diversify = in.correlate = true;
  in.values = map_of(shape.values);
  in.features = map_of(shape.groups * shape.embed);
  in.weight = in.bias = in.relation_bias = in.temperature.data = in.gate.data = some;
  sma::Outputs out{some,    some, some, static_cast<float*>(some), static_cast<float*>(some), static_cast<float*>(some),
                   anything};
  sma::Saved saved{};
  saved.attention = saved.correlation = saved.attention_sum = some;
  saved.argmax = anything;
  sma::GradOutputs c{};
  c.pooled = c.diversity = some;
  sma::GradInputs g{};
  g.values = in.values;
  g.features = in.features;
  g.weight = g.bias = g.temperature = g.gate = g.relation_bias = some;
  int64_t* found = reinterpret_cast<int64_t*>(result());
  unsigned char* text = result();
  emulator::count_only(true);
  check(sma::cuda::forward(dtype, shape, in, out, device, some));
  found[0] = emulator::launches();
  std::string names = emulator::names();
  found[1] = sma::cuda::forward_workspace(dtype, shape, in, out, device);
  emulator::count_only(true);
  check(sma::cuda::backward(dtype, shape, in, saved, c, g, device, some));
  found[2] = emulator::launches();
  found[3] = sma::cuda::backward_workspace(dtype, shape, in, c, g, device);
  names += emulator::names();
  names.resize(static_cast<size_t>(results.back().bytes));
  memcpy(text, names.data(), names.size());
  emulator::count_only(false);
  answer();
}

}  // namespace

int main() {
  for (;;) {
    const int64_t request = number();
    emulator::set_seed(static_cast<uint64_t>(number()));
    if (request == 2) {
      run_probe();
    } else if (request == 3) {
      count_call();
    } else {
      run_call(request == 1);
    }
  }
}
