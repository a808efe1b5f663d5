// What the emulator knows of the threads, warps and blocks that run.
#pragma once

#include <ucontext.h>

#include <map>
#include <vector>

#include "emulator.h"

namespace emulator {

constexpr int kLanes = 32;
constexpr size_t kMaxInputBytes = 64;

struct Copy {
  unsigned char* to;
  const unsigned char* from;
  int bytes, valid;
};

struct Warp;

struct Fiber {
  ucontext_t context;
  void* fake_stack = nullptr;
  bool done = false;
  Identity id;
  unsigned concurrent_block;
  Warp* warp;
  unsigned meetings;
  std::vector<std::vector<Copy>> groups;  // committed, oldest first; the last one is still open
};

struct Warp {
  Fiber* fibers[kLanes] = {};
  unsigned arrived = 0, lanes = 0;
  const char* operation = nullptr;
  size_t bytes = 0;
  alignas(16) unsigned char inputs[2][kLanes * kMaxInputBytes];
};

struct Array {
  unsigned char* data;
  int bytes;
};

// A running block: its shared memory, and its threads.
struct Block {
  std::map<int, Array> arrays;
  std::vector<unsigned char> memory;
  size_t used = 0;
  unsigned at_barrier = 0;         // threads
  std::vector<unsigned> runnable;  // fibers
};

}  // namespace emulator
