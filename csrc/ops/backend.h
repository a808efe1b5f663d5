// The backends as the fast path sees them. Each adds itself when the module is loaded.
#pragma once

#include <c10/core/DispatchKeySet.h>

#include <string_view>

#include "args.h"

namespace sma {

struct Backend {
  std::string_view name;         // in sma_kernels/backends
  c10::DispatchKeySet own_keys;  // of the plain tensors of its devices
  OutputTensors (*forward)(const AttentionArgs&);
  GradInputTensors (*backward)(const GradOutputTensors&, const SavedTensors&, const AttentionArgs&, const Needs&);
};

// For the initializer of a global variable. Returns true.
bool add_backend(const Backend& backend);

// The backend of this name, or null if it was not built.
const Backend* find_backend(std::string_view name);

}  // namespace sma
