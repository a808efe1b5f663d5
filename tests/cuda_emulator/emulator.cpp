#include "emulator.h"

#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include "fibers.h"

namespace emulator {
namespace {

constexpr size_t kStack = 256 * 1024;
constexpr size_t kRedZone = 64;
constexpr unsigned char kPoison = 0xff;  // NaN in every float format

std::mt19937_64 random_order(0);
std::vector<std::unique_ptr<unsigned char[]>> stacks;
std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<Block> concurrent_blocks;
int shared_limit;
int64_t processors = 1;
bool is_cooperative;
size_t at_outer_barrier;  // threads, of all blocks that run at the same time
size_t running_block;
Fiber* running;
ucontext_t scheduler;
const void* scheduler_stack;
size_t scheduler_stack_size;
const std::function<void()>* kernel;
// The C library's own: AddressSanitizer's interceptor clears the shadow of a whole stack at every switch,
// which takes a third of the time. Switches are announced to it instead, and stacks cleared once per block.
const auto swap_context =
    reinterpret_cast<int (*)(ucontext_t*, const ucontext_t*)>(dlsym(dlopen("libc.so.6", RTLD_LAZY), "swapcontext"));

void make_runnable(Fiber& fiber) {
  concurrent_blocks[fiber.concurrent_block].runnable.push_back(static_cast<unsigned>(&fiber - fibers.data()));
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
  fiber.done = true;
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

void prepare(Block& block, size_t bytes) {
  block.memory.resize(bytes);
  __asan_unpoison_memory_region(block.memory.data(), bytes);
  memset(block.memory.data(), kPoison, bytes);
  __asan_poison_memory_region(block.memory.data(), bytes);
  block.arrays.clear();
  block.used = 0;
  block.at_barrier = 0;
}

// Starts the threads of the blocks that run at the same time, of which `first` is the first.
void start(unsigned first, unsigned concurrent, unsigned threads) {
  const unsigned total = concurrent * threads;
  while (stacks.size() < total) stacks.push_back(std::make_unique<unsigned char[]>(kStack));
  fibers.clear();
  fibers.resize(total);
  const unsigned warps_per_block = (threads + kLanes - 1) / kLanes;
  warps.assign(concurrent * warps_per_block, Warp());
  running_block = 0;
  for (unsigned i = 0; i < total; ++i) {
    Fiber& fiber = fibers[i];
    const unsigned block = i / threads, thread = i % threads;
    fiber.id = {thread, threads, first + block, thread / kLanes, thread % kLanes};
    fiber.concurrent_block = block;
    fiber.warp = &warps[block * warps_per_block + thread / kLanes];
    fiber.meetings = 0;
    fiber.groups.assign(1, {});
    fiber.warp->fibers[fiber.warp->lanes++] = &fiber;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {stacks[i].get(), 0, kStack};
    fiber.context.uc_link = nullptr;
    __asan_unpoison_memory_region(stacks[i].get(), kStack);
    makecontext(&fiber.context, enter, 0);
    make_runnable(fiber);
  }
}

// The block whose threads run: mostly the same one, until all of them wait for other blocks or have ended, so that it
// runs far ahead of the others.
Block& next_block() {
  const size_t blocks = concurrent_blocks.size();
  if (blocks > 1 && (concurrent_blocks[running_block].runnable.empty() || random_order() % 4096 == 0)) {
    running_block = random_order() % blocks;
    for (size_t i = 0; i < blocks && concurrent_blocks[running_block].runnable.empty(); ++i) {
      running_block = (running_block + 1) % blocks;
    }
  }
  return concurrent_blocks[running_block];
}

// Usually the one that became runnable last, so that a warp runs far ahead of the others, as on a GPU: if every choice
// were random, all warps would keep about the same pace, and most missing barriers would change nothing.
Fiber& next_fiber() {
  std::vector<unsigned>& runnable = next_block().runnable;
  if (runnable.empty()) fail("the block hangs: its threads wait at different places, or some have ended");
  const size_t next = random_order() % 8 == 0 ? random_order() % runnable.size() : runnable.size() - 1;
  std::swap(runnable[next], runnable.back());
  Fiber& fiber = fibers[runnable.back()];
  runnable.pop_back();
  return fiber;
}

// Lets `count` threads from `first` on pass the barrier at which they all wait. Which warp then runs ahead differs from
// barrier to barrier.
void pass_barrier(unsigned first, size_t count) {
  const size_t start = random_order() % count;
  for (size_t i = 0; i < count; ++i) make_runnable(fibers[first + (start + i) % count]);
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

void set_processors(int64_t count) { processors = count; }

void run(const Launch& launch, const std::function<void()>& body) {
  if (only_counted(launch)) return;
  const unsigned blocks = launch.blocks, threads = launch.threads, cluster = launch.cluster;
  if (cluster == 0 || cluster > 8 || blocks % cluster) fail("a grid that clusters do not divide");
  is_cooperative = launch.cooperative;
  if (is_cooperative && (cluster > 1 || blocks > processors)) fail("a cooperative launch that a GPU would refuse");
  const unsigned concurrent = is_cooperative ? blocks : cluster;
  kernel = &body;
  shared_limit = launch.shared;
  concurrent_blocks.resize(concurrent);
  const size_t bytes = static_cast<size_t>(launch.shared) + 64 * kRedZone + 128;
  for (unsigned first = 0; first < blocks; first += concurrent) {
    for (Block& block : concurrent_blocks) prepare(block, bytes);
    start(first, concurrent, threads);
    at_outer_barrier = 0;
    for (unsigned done = 0; done < fibers.size();) {
      Fiber& fiber = next_fiber();
      resume(fiber);
      done += fiber.done;
    }
    running = nullptr;
  }
  for (Block& block : concurrent_blocks) __asan_unpoison_memory_region(block.memory.data(), block.memory.size());
  concurrent_blocks.clear();
}

const Identity& self() { return running->id; }

void barrier() {
  Block& block = concurrent_blocks[running->concurrent_block];
  const unsigned threads = running->id.threads;
  if (++block.at_barrier == threads) {
    block.at_barrier = 0;
    pass_barrier(running->concurrent_block * threads, threads);
  }
  yield();
}

namespace {

void outer_barrier() {
  if (++at_outer_barrier == fibers.size()) {
    at_outer_barrier = 0;
    pass_barrier(0, fibers.size());
  }
  yield();
}

}  // namespace

void cluster_barrier() {
  if (is_cooperative) fail("a barrier of the cluster in a cooperative launch, whose blocks have none");
  outer_barrier();
}

void grid_barrier() {
  if (!is_cooperative) fail("a barrier of the grid in a launch that is not cooperative");
  outer_barrier();
}

const unsigned char* meet(const char* name, const void* inputs, size_t bytes) {
  Fiber& fiber = *running;
  Warp& warp = *fiber.warp;
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
  if (++warp.arrived == warp.lanes) {
    warp.arrived = 0;
    for (Fiber* member : warp.fibers) make_runnable(*member);
  }
  yield();
  return table;
}

void* carve(int cursor, int bytes) {
  if (bytes == 0) return nullptr;
  Block& block = concurrent_blocks[running->concurrent_block];
  const auto array = block.arrays.find(cursor);
  if (array != block.arrays.end()) {
    if (array->second.bytes != bytes) fail("threads carve different shared arrays");
    return array->second.data;
  }
  if (cursor + bytes > shared_limit) fail("more shared memory is carved than the launch asked for");
  auto address = reinterpret_cast<uintptr_t>(block.memory.data()) + block.used + kRedZone;
  address = (address + 15) / 16 * 16;
  auto* data = reinterpret_cast<unsigned char*>(address);
  block.used = address + bytes - reinterpret_cast<uintptr_t>(block.memory.data());
  if (block.used + kRedZone > block.memory.size()) fail("too many shared arrays for the emulator's red zones");
  __asan_unpoison_memory_region(data, bytes);
  block.arrays[cursor] = {data, bytes};
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
