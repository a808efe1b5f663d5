// The `cpu` backend on tensors: allocates, and distributes samples over threads.
#pragma once

#include "args.h"

namespace sma {

OutputTensors forward_on_cpu(const AttentionArgs& args);

GradInputTensors backward_on_cpu(const GradOutputTensors& grad_outputs, const SavedTensors& saved,
                                 const AttentionArgs& args, const Needs& needs);

}  // namespace sma
