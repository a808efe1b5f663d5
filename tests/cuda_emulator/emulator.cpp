#include "emulator.h"

#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace emulator {
namespace {

constexpr int kLanes = 32;
constexpr size_t kStack = 256 * 1024;
constexpr size_t kRedZone = 64;
constexpr size_t kMaxInputBytes = 64;
constexpr unsigned char kPoison = 0xff;  // NaN in every float format

struct Copy {
  unsigned char* to;
  const unsigned char* from;
  int bytes, valid;
};

struct Fiber {
  enum class State { runnable, at_barrier, in_warp, done };
  ucontext_t context;
  void* fake_stack = nullptr;
  State state;
  Identity id;
  unsigned meetings;
  int copies_open;
  std::vector<std::vector<Copy>> groups;  // committed, oldest first; the last one is still open
};

struct Warp {
  unsigned arrived = 0, lanes = 0, generation = 0;
  const char* operation = nullptr;
  size_t bytes = 0;
  alignas(16) unsigned char inputs[2][kLanes * kMaxInputBytes];
};

struct Array {
  unsigned char* data;
  int bytes;
};

std::mt19937_64 random_order(0);
std::vector<std::unique_ptr<unsigned char[]>> stacks;
std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<unsigned> runnable;
std::map<int, Array> arrays;
std::vector<unsigned char> shared_memory;
size_t shared_used;
int shared_limit;
Fiber* running;
ucontext_t scheduler;
const void* scheduler_stack;
size_t scheduler_stack_size;
const std::function<void()>* kernel;
// The C library's own: AddressSanitizer's interceptor clears the shadow of a whole stack at every switch,
// which takes a third of the time. Switches are announced to it instead, and stacks cleared once per block.
const auto swap_context =
    reinterpret_cast<int (*)(ucontext_t*, const ucontext_t*)>(dlsym(dlopen("libc.so.6", RTLD_LAZY), "swapcontext"));
bool counting_only = false;
int64_t launched = 0;
std::string launched_lines;

void make_runnable(Fiber& fiber) {
  fiber.state = Fiber::State::runnable;
  runnable.push_back(static_cast<unsigned>(&fiber - fibers.data()));
}

void yield() {
  Fiber& fiber = *running;
  __sanitizer_start_switch_fiber(&fiber.fake_stack, scheduler_stack, scheduler_stack_size);
  swap_context(&fiber.context, &scheduler);
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &scheduler_stack, &scheduler_stack_size);
}

void enter() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
  (*kernel)();
  Fiber& fiber = *running;
  if (fiber.groups.size() > 1 || !fiber.groups.back().empty()) {
    for (const auto& group : fiber.groups) {
      if (!group.empty()) fail("a thread ends with copies under way");
    }
  }
  fiber.state = Fiber::State::done;
  __sanitizer_start_switch_fiber(nullptr, scheduler_stack, scheduler_stack_size);
  swap_context(&fiber.context, &scheduler);
}

void resume(Fiber& fiber) {
  running = &fiber;
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, fiber.context.uc_stack.ss_sp, fiber.context.uc_stack.ss_size);
  swap_context(&scheduler, &fiber.context);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}

void start(unsigned block, unsigned threads) {
  while (stacks.size() < threads) stacks.push_back(std::make_unique<unsigned char[]>(kStack));
  fibers.clear();
  fibers.resize(threads);
  warps.assign((threads + kLanes - 1) / kLanes, Warp());
  runnable.clear();
  __asan_unpoison_memory_region(shared_memory.data(), shared_memory.size());
  memset(shared_memory.data(), kPoison, shared_memory.size());
  __asan_poison_memory_region(shared_memory.data(), shared_memory.size());
  arrays.clear();
  shared_used = 0;
  for (unsigned t = 0; t < threads; ++t) {
    Fiber& fiber = fibers[t];
    fiber.id = {t, threads, block, t / kLanes, t % kLanes};
    fiber.meetings = 0;
    fiber.groups.assign(1, {});
    ++warps[fiber.id.warp].lanes;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {stacks[t].get(), 0, kStack};
    fiber.context.uc_link = nullptr;
    __asan_unpoison_memory_region(stacks[t].get(), kStack);
    makecontext(&fiber.context, enter, 0);
    make_runnable(fiber);
  }
}

void note_launch(const char* name, unsigned blocks, unsigned threads, int shared, std::string_view argument) {
  launched_lines.append(name);
  for (const int64_t number : {int64_t{blocks}, int64_t{threads}, int64_t{shared}}) {
    launched_lines.append("\t").append(std::to_string(number));
  }
  launched_lines.append("\t");
  constexpr const char* kDigits = "0123456789abcdef";
  for (const char character : argument) {
    const auto byte = static_cast<unsigned char>(character);
    launched_lines.push_back(kDigits[byte / 16]);
    launched_lines.push_back(kDigits[byte % 16]);
  }
  launched_lines.push_back('\n');
}

}  // namespace

void fail(const char* message) {
  if (running) {
    fprintf(stderr, "emulator: %s (block %u, thread %u)\n", message, running->id.block, running->id.thread);
  } else {
    fprintf(stderr, "emulator: %s\n", message);
  }
  fflush(stderr);
  _Exit(3);
}

void set_seed(uint64_t seed) { random_order.seed(seed); }

void count_only(bool counting) {
  counting_only = counting;
  launched = 0;
  launched_lines.clear();
}

int64_t launches() { return launched; }

std::string launch_lines() { return launched_lines; }

void run(const char* name, unsigned blocks, unsigned threads, int shared, std::string_view argument,
         const std::function<void()>& body) {
  ++launched;
  if (counting_only) {
    note_launch(name, blocks, threads, shared, argument);
    return;
  }
  kernel = &body;
  shared_limit = shared;
  shared_memory.resize(static_cast<size_t>(shared) + 64 * kRedZone + 128);
  for (unsigned block = 0; block < blocks; ++block) {
    start(block, threads);
    for (unsigned done = 0; done < threads;) {
      if (runnable.empty()) {
        unsigned waiting = 0;
        for (const Fiber& fiber : fibers) waiting += fiber.state == Fiber::State::at_barrier;
        if (waiting != threads) fail("the block hangs: its threads wait at different places, or some have ended");
        for (Fiber& fiber : fibers) make_runnable(fiber);
      }
      const size_t next = random_order() % runnable.size();
      std::swap(runnable[next], runnable.back());
      Fiber& fiber = fibers[runnable.back()];
      runnable.pop_back();
      resume(fiber);
      done += fiber.state == Fiber::State::done;
    }
    running = nullptr;
  }
  __asan_unpoison_memory_region(shared_memory.data(), shared_memory.size());
}

const Identity& self() { return running->id; }

void barrier() {
  running->state = Fiber::State::at_barrier;
  yield();
}

const unsigned char* meet(const char* name, const void* inputs, size_t bytes) {
  Fiber& fiber = *running;
  Warp& warp = warps[fiber.id.warp];
  if (bytes > kMaxInputBytes) fail("the input of a warp operation is too large");
  if (warp.lanes != kLanes) fail("a warp operation in a warp that is not full");
  if (warp.arrived == 0) {
    warp.operation = name;
    warp.bytes = bytes;
  } else if (warp.operation != name || warp.bytes != bytes) {
    fail("lanes of a warp meet in different operations");
  }
  unsigned char* table = warp.inputs[fiber.meetings % 2];
  ++fiber.meetings;
  memcpy(table + fiber.id.lane * bytes, inputs, bytes);
  fiber.state = Fiber::State::in_warp;
  if (++warp.arrived == warp.lanes) {
    warp.arrived = 0;
    for (unsigned l = 0; l < kLanes; ++l) make_runnable(fibers[fiber.id.warp * kLanes + l]);
  }
  yield();
  return table;
}

void* carve(int cursor, int bytes) {
  if (bytes == 0) return nullptr;
  const auto array = arrays.find(cursor);
  if (array != arrays.end()) {
    if (array->second.bytes != bytes) fail("threads carve different shared arrays");
    return array->second.data;
  }
  if (cursor + bytes > shared_limit) fail("more shared memory is carved than the launch asked for");
  auto address = reinterpret_cast<uintptr_t>(shared_memory.data()) + shared_used + kRedZone;
  address = (address + 15) / 16 * 16;
  auto* data = reinterpret_cast<unsigned char*>(address);
  shared_used = address + bytes - reinterpret_cast<uintptr_t>(shared_memory.data());
  if (shared_used + kRedZone > shared_memory.size()) fail("too many shared arrays for the emulator's red zones");
  __asan_unpoison_memory_region(data, bytes);
  arrays[cursor] = {data, bytes};
  return data;
}

void copy(void* to, const void* from, int bytes, int valid) {
  if (bytes != 4 && bytes != 8 && bytes != 16) fail("an asynchronous copy of a size that no GPU has");
  if (valid < 0 || valid > bytes) fail("an asynchronous copy of more than its size");
  if (reinterpret_cast<uintptr_t>(to) % bytes || reinterpret_cast<uintptr_t>(from) % bytes) {
    fail("an asynchronous copy at a misaligned address");
  }
  memset(to, kPoison, bytes);
  running->groups.back().push_back(
      {static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes, valid});
}

void commit() { running->groups.emplace_back(); }

void wait(int pending) {
  auto& groups = running->groups;
  while (groups.size() > static_cast<size_t>(pending) + 1) {
    for (const Copy& copy : groups.front()) {
      memcpy(copy.to, copy.from, copy.valid);
      memset(copy.to + copy.valid, 0, copy.bytes - copy.valid);
    }
    groups.erase(groups.begin());
  }
}

}  // namespace emulator
