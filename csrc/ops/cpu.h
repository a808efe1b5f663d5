// The `cpu` backend on tensors: allocates, and spreads samples over threads.
#pragma once

#include "args.h"

namespace sma {

OutputTensors forward_on_cpu(const HeadArguments& arguments);

GradientTuple backward_on_cpu(const FiveTensors& cotangents, const FiveTensors& saved, const HeadArguments& arguments,
                              at::ArrayRef<bool> needs);

}  // namespace sma
