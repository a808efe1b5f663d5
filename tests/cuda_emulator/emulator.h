// Runs kernels on the host: one fiber per CUDA thread, one cluster of blocks after another, or all blocks of
// a cooperative launch.
//
// A fiber runs until a barrier, a warp-wide operation or its end; the next one is mostly one of the same warp, else
// drawn at random from a seed, so that results that depend on the order of threads between barriers change with the
// seed. Shared memory is poisoned before a block starts and has red zones around every array. Any misuse that would
// hang or corrupt a GPU aborts.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace emulator {

struct Identity {
  unsigned thread, threads, block, warp, lane;
};

void set_seed(uint64_t seed);
void set_processors(int64_t processors);  // a cooperative launch of more blocks aborts

struct Launch {
  const char* name;  // contains the kernel's
  unsigned blocks, threads;
  int shared;                 // bytes of shared memory per block: carving more aborts
  unsigned cluster;           // blocks that run at the same time
  bool cooperative;           // all do
  std::string_view argument;  // its bytes
};

// Runs `body` once per thread.
void run(const Launch& launch, const std::function<void()>& body);

// With `counting`, `run` only counts the launch: for calls without arrays.
void count_only(bool counting);
int64_t launches();
// The counted launches, one per line: name, blocks, threads, shared bytes, cluster, cooperative and the argument's
// bytes in hexadecimal, separated by tabs.
std::string launch_lines();
bool only_counted(const Launch& launch);  // called by `run`

const Identity& self();
void barrier();          // of the block
void cluster_barrier();  // of all blocks of the cluster
void grid_barrier();     // of all blocks of a cooperative launch

// All lanes of a warp meet in operation `name`; each receives the inputs of all, 32 times `bytes`.
const unsigned char* meet(const char* name, const void* input, size_t bytes);

template <class Value>
const Value* exchange(const char* name, const Value& value) {
  return reinterpret_cast<const Value*>(meet(name, &value, sizeof value));
}

// The array at `cursor` of the block's shared memory.
void* carve(int cursor, int bytes);

// Asynchronous copies. Data arrive only when their group is waited for; until then the target is poisoned.
void copy(void* to, const void* from, int bytes, int valid);
void commit();
void wait(int pending);

[[noreturn]] void fail(const char* message);

}  // namespace emulator
