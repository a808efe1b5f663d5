// Runs forward and backward calls read from standard input and writes the results to standard output, for emulated.py.
// Every array is its own allocation, so that AddressSanitizer detects the first byte past it, and is filled with NaN
// before a kernel writes it.
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

std::vector<std::unique_ptr<unsigned char, Free>> allocations;

unsigned char* allocate(int64_t bytes) {
  auto* data = static_cast<unsigned char*>(malloc(bytes));
  memset(data, 0xff, bytes);
  allocations.emplace_back(data);
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

// An array: its size in bytes, or -1 for none; then the offset of its first element, which may be odd; then its
// contents.
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
  in.mask = reinterpret_cast<const bool*>(array());
  in.weight = array();
  in.bias = array();
  in.relation_bias = array();
  in.temperature.data = array();
  in.gate.data = array();
  return in;
}

void reply() {
  for (const Result& result : results) {
    if (result.bytes > 0) fwrite(result.data, static_cast<size_t>(result.bytes), 1, stdout);
  }
  fflush(stdout);
  results.clear();
  allocations.clear();
}

void check(const char* error) {
  if (!error) return;
  fprintf(stderr, "launch: %s\n", error);
  _exit(4);
}

sma::cuda::Device read_device() {
  sma::cuda::Device device{};
  device.shared_limit = static_cast<int>(number());
  device.sm_count = static_cast<int>(number());
  emulator::set_processors(device.sm_count);
  device.max_cluster = static_cast<int>(number());
  device.cooperative = number() != 0;
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

void run_call(bool is_backward) {
  const auto dtype = static_cast<sma::Dtype>(number());
  const sma::cuda::Device device = read_device();
  const sma::Shape shape = read_shape();
  const sma::Inputs in = read_inputs();
  if (!is_backward) {
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
    return reply();
  }
  sma::Saved saved{};
  saved.attention = array();
  saved.maps = array();
  saved.correlation = array();
  saved.attention_sum = array();
  saved.argmax = array();
  sma::GradOutputs grad_outputs{};
  for (const void** gradient : {&grad_outputs.pooled, &grad_outputs.attention, &grad_outputs.maps,
                                &grad_outputs.diversity, &grad_outputs.correlation})
    *gradient = array();
  sma::GradInputs grad_inputs{};
  grad_inputs.values = strided(result());
  grad_inputs.features = strided(result());
  for (void** gradient : {&grad_inputs.maps, &grad_inputs.weight, &grad_inputs.bias, &grad_inputs.temperature,
                          &grad_inputs.gate, &grad_inputs.relation_bias})
    *gradient = result();
  const int64_t bytes = sma::cuda::backward_workspace(dtype, shape, in, grad_outputs, grad_inputs, device);
  check(sma::cuda::backward(dtype, shape, in, saved, grad_outputs, grad_inputs, device, allocate(bytes)));
  reply();
}

void run_probe() {
  const int operation = static_cast<int>(number());
  const unsigned char* in = array();
  probe(operation, in, result());
  reply();
}

// Number of launches and workspace bytes of a training step in NCHW, forward and backward, and the launches as
// zero-padded text. Nothing runs, so all arrays are one placeholder.
void count_call() {
  const auto dtype = static_cast<sma::Dtype>(number());
  const sma::cuda::Device device = read_device();
  const sma::Shape shape = read_shape();
  alignas(16) static unsigned char placeholder[16];
  void* const pointer = placeholder;
  const auto map_of = [&](int64_t channels) {
    return sma::FeatureMap{pointer, channels * shape.positions, shape.positions, 1};
  };
  sma::Inputs in{};
  in.merge = static_cast<sma::Merge>(number());
  in.diversify = in.correlate = true;
  in.values = map_of(shape.values);
  in.features = map_of(shape.groups * shape.embed);
  in.weight = in.bias = in.relation_bias = in.temperature.data = in.gate.data = pointer;
  sma::Outputs out{pointer, pointer, pointer, pointer, pointer, pointer, placeholder};
  sma::Saved saved{};
  saved.attention = saved.correlation = saved.attention_sum = pointer;
  saved.argmax = placeholder;
  sma::GradOutputs grad_outputs{};
  grad_outputs.pooled = grad_outputs.diversity = pointer;
  sma::GradInputs grad_inputs{};
  grad_inputs.values = in.values;
  grad_inputs.features = in.features;
  grad_inputs.weight = grad_inputs.bias = grad_inputs.temperature = grad_inputs.gate = grad_inputs.relation_bias =
      pointer;
  int64_t* counts = reinterpret_cast<int64_t*>(result());
  unsigned char* text = result();
  emulator::count_only(true);
  check(sma::cuda::forward(dtype, shape, in, out, device, pointer));
  counts[0] = emulator::launches();
  std::string lines = emulator::launch_lines();
  counts[1] = sma::cuda::forward_workspace(dtype, shape, in, out, device);
  emulator::count_only(true);
  check(sma::cuda::backward(dtype, shape, in, saved, grad_outputs, grad_inputs, device, pointer));
  counts[2] = emulator::launches();
  counts[3] = sma::cuda::backward_workspace(dtype, shape, in, grad_outputs, grad_inputs, device);
  lines += emulator::launch_lines();
  lines.resize(static_cast<size_t>(results.back().bytes));
  memcpy(text, lines.data(), lines.size());
  emulator::count_only(false);
  reply();
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
