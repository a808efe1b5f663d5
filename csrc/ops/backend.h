// The compiled backends as the fast path sees them. Each adds itself when the module is loaded; one per type of device.
#pragma once

#include <c10/core/DispatchKeySet.h>

#include "args.h"

namespace sma {

struct Backend {
  const char* name;              // in sma_kernels/backends
  c10::DispatchKeySet own_keys;  // of the plain tensors of its devices
  bool float64;                  // whether it computes in float64
  OutputTensors (*forward)(const AttentionArgs&);
  GradInputTensors (*backward)(const GradOutputTensors&, const SavedTensors&, const AttentionArgs&, const Needs&);
};

// For the initializer of a global variable. Returns true.
bool add_backend(at::DeviceType device, const Backend& backend);

// The backend that was built for a type of device, or null.
const Backend* backend_on(at::DeviceType device);

}  // namespace sma
