// The CUDA kernels as the torch-facing code sees them. No torch header and no CUDA header here.
#pragma once

#include "../sma_attention.h"

namespace sma::cuda {

struct Device {
  int shared_limit;  // bytes of shared memory that one block may ask for
  int processors;
  bool tf32;     // float32 products may round their operands to tf32
  void* stream;  // cudaStream_t
};

// Why no kernel can run this call, or null. Dtype::f64 is refused, and sizes past 32 bits along one axis are.
const char* refusal(Dtype dtype, const Shape& shape);

// Bytes of the one workspace of a call; its contents need no initialisation and are not kept.
int64_t forward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs,
                          const Device& device);
int64_t backward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const GradOutputs& cotangents,
                           const GradInputs& gradients, const Device& device);

// Launches on the stream, without waiting; null, or what the launch reported. batch > 0; gradients of values are wanted
// only where a gradient of the pooled values has arrived.
const char* forward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs, const Device& device,
                    void* workspace);
const char* backward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Saved& saved,
                     const GradOutputs& cotangents, const GradInputs& gradients, const Device& device, void* workspace);

}  // namespace sma::cuda
