// Threads that work on one sample together. Starting threads costs several microseconds, and a sample has a dozen
// places where work is divided: the crew starts once and spins in between.
#pragma once

#include <ATen/Parallel.h>

#include <atomic>
#include <thread>

#include "../cpu/kernels.h"

namespace sma {

// One leader divides work into tasks; whoever is free takes the next. The leader waits for tasks that were taken, not
// for threads, so that it does everything alone if no other thread has arrived.
class Crew {
 public:
  void run(int64_t tasks, cpu::Team::Task task, const void* closure) {
    task_.store(task, std::memory_order_relaxed);
    closure_.store(closure, std::memory_order_relaxed);
    unfinished_.store(tasks, std::memory_order_relaxed);
    const uint64_t round = (offer_.load(std::memory_order_relaxed) | kLeft) + 1;
    offer_.store(round | static_cast<uint64_t>(tasks), std::memory_order_release);
    while (take_task(0)) continue;
    for (int spins = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spins) wait(spins);
  }

  void help(int64_t worker) {
    for (int spins = 0; !done_.load(std::memory_order_acquire); ++spins) {
      if (take_task(worker)) {
        spins = 0;
      } else {
        wait(spins);
      }
    }
  }

  void finish() { done_.store(true, std::memory_order_release); }

 private:
  static constexpr uint64_t kLeft = 0xffffffffu;  // tasks that nobody has taken; the number of the round is above
  static constexpr int kSpinsBeforeYield = 2000;

  // What was read of a round is valid if the exchange succeeds: the leader starts the next one when all tasks of this
  // one have been taken, and the numbers differ.
  bool take_task(int64_t worker) {
    uint64_t offer = offer_.load(std::memory_order_acquire);
    if ((offer & kLeft) == 0) return false;
    const cpu::Team::Task task = task_.load(std::memory_order_relaxed);
    const void* closure = closure_.load(std::memory_order_relaxed);
    if (!offer_.compare_exchange_strong(offer, offer - 1, std::memory_order_acq_rel)) return true;
    task(closure, static_cast<int64_t>(offer & kLeft) - 1, worker);
    unfinished_.fetch_sub(1, std::memory_order_release);
    return true;
  }

  static void wait(int spins) {
    if (spins >= kSpinsBeforeYield) return std::this_thread::yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  // On separate cache lines: spinning threads read the first.
  alignas(64) std::atomic<uint64_t> offer_{0};
  std::atomic<cpu::Team::Task> task_{nullptr};
  std::atomic<const void*> closure_{nullptr};
  alignas(64) std::atomic<int64_t> unfinished_{0};
  alignas(64) std::atomic<bool> done_{false};
};

// Calls body(team) on this thread while the other ones help it.
template <typename Body>
void with_crew(int64_t threads, const Body& body) {
  Crew crew;
  const cpu::Team team{threads,
                       [](void* crew, int64_t tasks, cpu::Team::Task task, const void* closure) {
                         static_cast<Crew*>(crew)->run(tasks, task, closure);
                       },
                       &crew};
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker) {
      if (worker > 0) {
        crew.help(worker);
      } else {
        body(team);
        crew.finish();
      }
    }
  });
}

}  // namespace sma
