// Limit of a kernel's dynamic shared memory, raised before a launch that needs more.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

namespace sma::cuda {

// The limits of one kernel, per device. They only grow: if every launch set its own, two threads that launch the same
// kernel with different sizes could lower each other's limit between call and launch.
class SharedMemoryLimit {
 public:
  static constexpr int kDefault = 48 * 1024;  // of every kernel on every device
  static constexpr int kMaxDevices = 128;     // torch's device index is a signed byte

  // Ensures that the kernel may use `bytes` on `device`: null, or the error of `raise(bytes)`, called under a lock.
  template <class Raise>
  const char* ensure(int device, int bytes, Raise&& raise) {
    if (bytes <= kDefault) return nullptr;
    if (device < 0 || device >= kMaxDevices) return "the device index is not in 0..127";
    std::atomic<int>& limit = limits_[static_cast<size_t>(device)];
    if (bytes <= limit.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(growing_);
    if (bytes <= limit.load(std::memory_order_relaxed)) return nullptr;
    if (const char* error = raise(bytes)) return error;
    limit.store(bytes, std::memory_order_release);
    return nullptr;
  }

 private:
  std::array<std::atomic<int>, kMaxDevices> limits_{};
  std::mutex growing_;
};

template <auto kKernel>
inline constinit SharedMemoryLimit shared_memory_limit;

}  // namespace sma::cuda
