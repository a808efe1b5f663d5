// Threads raise the limits of csrc/cuda/shared_memory_limit.h on a simulated runtime. The argument names the check;
// exits with 1 at the first failure.
#include "../../csrc/cuda/shared_memory_limit.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

using sma::cuda::SharedMemoryLimit;

namespace {

constexpr int kKilobyte = 1024;

void expect(bool holds, const char* mistake) {
  if (holds) return;
  fprintf(stderr, "%s\n", mistake);
  exit(1);
}

// One kernel on one device, as the runtime sees it: the last call wins, whatever size it names.
class Runtime {
 public:
  const char* raise(int bytes) {
    expect(!busy_.exchange(true), "two threads raise the limit at once");
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    ++calls;
    const bool fails = failures > 0;
    if (fails) {
      --failures;
    } else {
      expect(bytes > granted, "a limit was not raised, but set to less or to the same");
      granted = bytes;
    }
    busy_ = false;
    return fails ? "out of memory" : nullptr;
  }

  const char* launch(SharedMemoryLimit& limit, int device, int bytes) {
    const char* error = limit.ensure(device, bytes, [this](int size) { return raise(size); });
    if (!error) expect(granted >= bytes, "a kernel was launched with more than its limit");
    return error;
  }

  std::atomic<int> granted = SharedMemoryLimit::kDefault;
  std::atomic<int> calls = 0, failures = 0;

 private:
  std::atomic<bool> busy_ = false;
};

void threads_with_different_sizes() {
  constexpr int kThreads = 4, kRounds = 200, kLaunches = 12;
  for (int round = 0; round < kRounds; ++round) {
    SharedMemoryLimit limit;
    Runtime runtime;
    std::barrier together(kThreads);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        together.arrive_and_wait();
        for (int i = 0; i < kLaunches; ++i) {
          const int size = (49 + (7 * i * (thread + 1) + 13 * round + 5 * thread) % 170) * kKilobyte;
          expect(!runtime.launch(limit, 0, size), "a launch failed");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

void calls_only_to_grow() {
  SharedMemoryLimit limit;
  Runtime runtime;
  for (const int kilobytes : {16, 48, 90, 60, 90, 49, 120, 90, 16}) {
    expect(!runtime.launch(limit, 0, kilobytes * kKilobyte), "a launch failed");
  }
  expect(runtime.calls == 2 && runtime.granted == 120 * kKilobyte, "expected one call for 90 KB and one for 120 KB");
}

void launches_within_the_limit_do_not_wait() {
  using std::chrono::steady_clock;
  SharedMemoryLimit limit;
  Runtime runtime;
  expect(!runtime.launch(limit, 0, 60 * kKilobyte), "a launch failed");
  std::atomic<bool> raising = false, launched = false;
  std::thread grower([&] {
    limit.ensure(0, 90 * kKilobyte, [&](int) -> const char* {
      raising = true;
      const auto end = steady_clock::now() + std::chrono::seconds(5);
      while (!launched && steady_clock::now() < end) std::this_thread::yield();
      expect(launched, "a launch within the limit waited for another thread");
      return nullptr;
    });
  });
  while (!raising) std::this_thread::yield();
  expect(!runtime.launch(limit, 0, 60 * kKilobyte), "a launch failed");
  launched = true;
  grower.join();
}

void failure_is_reported_and_retried() {
  SharedMemoryLimit limit;
  Runtime runtime;
  runtime.failures = 2;
  for (const int kilobytes : {90, 60}) {
    const char* error = runtime.launch(limit, 0, kilobytes * kKilobyte);
    expect(error && !strcmp(error, "out of memory"), "a failure was not reported");
  }
  expect(!runtime.launch(limit, 0, 90 * kKilobyte) && runtime.calls == 3, "after a failure the call was not repeated");
  expect(!runtime.launch(limit, 0, 60 * kKilobyte) && runtime.calls == 3, "a success was not remembered");
}

void first_kernel(int) {}
void second_kernel(int) {}

void kernels_and_devices_are_apart() {
  Runtime runtimes[2][SharedMemoryLimit::kMaxDevices];
  for (int device = 0; device < SharedMemoryLimit::kMaxDevices; ++device) {
    for (int again = 0; again < 2; ++again) {
      auto& first = sma::cuda::shared_memory_limit<first_kernel>;
      auto& second = sma::cuda::shared_memory_limit<second_kernel>;
      expect(!runtimes[0][device].launch(first, device, 90 * kKilobyte), "a launch failed");
      expect(!runtimes[1][device].launch(second, device, 60 * kKilobyte), "a launch failed");
    }
    expect(runtimes[0][device].calls == 1 && runtimes[1][device].calls == 1, "expected one call per kernel and device");
  }
}

void devices_beyond_the_table_are_refused() {
  SharedMemoryLimit limit;
  Runtime runtime;
  for (const int device : {-1, SharedMemoryLimit::kMaxDevices}) {
    expect(runtime.launch(limit, device, 90 * kKilobyte), "a device beyond the table was not refused");
    expect(!runtime.launch(limit, device, 48 * kKilobyte), "48 KB need no limit");
  }
  expect(runtime.calls == 0, "the limit was raised all the same");
}

struct Check {
  const char* name;
  void (*run)();
};

constexpr Check kChecks[] = {
    {"threads_with_different_sizes", threads_with_different_sizes},
    {"calls_only_to_grow", calls_only_to_grow},
    {"launches_within_the_limit_do_not_wait", launches_within_the_limit_do_not_wait},
    {"failure_is_reported_and_retried", failure_is_reported_and_retried},
    {"kernels_and_devices_are_apart", kernels_and_devices_are_apart},
    {"devices_beyond_the_table_are_refused", devices_beyond_the_table_are_refused},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Check& check : kChecks) {
    if (argc == 2 && !strcmp(argv[1], check.name)) {
      check.run();
      return 0;
    }
  }
  fprintf(stderr, "expected the name of a check\n");
  return 2;
}
