// Runs kernels on the host: one fiber a CUDA thread, blocks in turn.
//
// A fiber runs until it meets a barrier, a warp-wide operation or its end; which one goes on is drawn from a seed, so
// that results which depend on an order between barriers change from seed to seed. Shared memory is poisoned before a
// block starts and has red zones around every array. Any misuse that would hang or corrupt a card aborts.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

namespace emulator {

struct Identity {
  unsigned thread, threads, block, warp, lane;
};

void set_seed(uint64_t seed);

// Runs `body` once a thread. `shared` bytes is what the launch asked for: carving more aborts. `name` tells the kernel.
void run(const char* name, unsigned blocks, unsigned threads, int shared, const std::function<void()>& body);

// With `counting`, `run` only counts the launch: for calls whose arrays are not there.
void count_only(bool counting);
int64_t launches();
std::string names();  // of the kernels that were counted, a line each

const Identity& self();
void barrier();

// Lanes of a warp meet in operation `name`; every lane receives what all of them brought, 32 times `bytes`.
const unsigned char* meet(const char* name, const void* brought, size_t bytes);

template <class Value>
const Value* exchange(const char* name, const Value& value) {
  return reinterpret_cast<const Value*>(meet(name, &value, sizeof value));
}

// The array at `cursor` of the block's shared memory.
void* carve(int cursor, int bytes);

// Asynchronous copies. Data land only when their group is waited for; until then the target holds poison.
void copy(void* to, const void* from, int bytes, int valid);
void commit();
void wait(int pending);

[[noreturn]] void fail(const char* message);

}  // namespace emulator
