// Interface of the CUDA kernels for the torch-facing code. No torch or CUDA headers here.
#pragma once

#include "../sma_attention.h"

namespace sma::cuda {

struct Device {
  int shared_limit;  // maximum bytes of dynamic shared memory per block
  int sm_count;      // streaming multiprocessors
  int max_cluster;   // blocks of a cluster, 1 without clusters
  bool cooperative;  // whether it allows cooperative launches
  bool tf32;         // float32 products may round their operands to tf32
  void* stream;      // cudaStream_t
};

// Blocks that can form a cluster on the current device, with the code that is loaded there.
int max_cluster();

// Why no kernel supports this call, or null. Dtype::f64 and axes beyond 32 bits are not supported.
const char* not_supported_reason(Dtype dtype, const Shape& shape);

// Bytes of the workspace of a call, which needs no initialization and may be discarded afterwards.
int64_t forward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs,
                          const Device& device);
int64_t backward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const GradOutputs& grad_outputs,
                           const GradInputs& grad_inputs, const Device& device);

// The error of a cooperative launch that needs more blocks than the stream may run at the same time, because it has
// only a part of the device. Without cooperative launches, the same call is possible.
inline constexpr const char kTooManyBlocks[] =
    "a cooperative launch needs more multiprocessors than its stream may use";

// Launches on the stream without waiting; null, or the error of a launch. Requires batch > 0, and a gradient of the
// pooled values if gradients of the values are requested.
const char* forward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs, const Device& device,
                    void* workspace);
const char* backward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Saved& saved,
                     const GradOutputs& grad_outputs, const GradInputs& grad_inputs, const Device& device,
                     void* workspace);

}  // namespace sma::cuda
