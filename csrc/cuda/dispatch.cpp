// Dispatch on the dtype. The kernels are instantiated in forward_*.cu and backward_*.cu.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <climits>

#include "sma_attention_cuda.h"

namespace sma::cuda {

template <class T>
int64_t forward_workspace_as(const Shape&, const Inputs&, const Outputs&, const Device&);
template <class T>
const char* forward_as(const Shape&, const Inputs&, const Outputs&, const Device&, void*);
template <class T>
int64_t backward_workspace_as(const Shape&, const Inputs&, const GradOutputs&, const GradInputs&, const Device&);
template <class T>
const char* backward_as(const Shape&, const Inputs&, const Saved&, const GradOutputs&, const GradInputs&, const Device&,
                        void*);

const char* not_supported_reason(Dtype dtype, const Shape& shape) {
  if (dtype == Dtype::f64)
    return "float64 is not supported (GPUs run it at a fraction of their speed); use backend='reference'";
  for (const int64_t size : {shape.maps(), shape.groups * shape.embed, shape.values, shape.positions}) {
    if (size > INT_MAX / 2) return "an axis is longer than 2^30";
  }
  return nullptr;
}

namespace {

template <class Run>
auto with_dtype(Dtype dtype, const Run& run) {
  if (dtype == Dtype::bf16) return run(__nv_bfloat16());
  if (dtype == Dtype::f16) return run(__half());
  return run(0.0f);
}

}  // namespace

int64_t forward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs,
                          const Device& device) {
  return with_dtype(dtype,
                    [&](auto zero) { return forward_workspace_as<decltype(zero)>(shape, inputs, outputs, device); });
}

int64_t backward_workspace(Dtype dtype, const Shape& shape, const Inputs& inputs, const GradOutputs& grad_outputs,
                           const GradInputs& grad_inputs, const Device& device) {
  return with_dtype(dtype, [&](auto zero) {
    return backward_workspace_as<decltype(zero)>(shape, inputs, grad_outputs, grad_inputs, device);
  });
}

const char* forward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Outputs& outputs, const Device& device,
                    void* workspace) {
  return with_dtype(dtype,
                    [&](auto zero) { return forward_as<decltype(zero)>(shape, inputs, outputs, device, workspace); });
}

const char* backward(Dtype dtype, const Shape& shape, const Inputs& inputs, const Saved& saved,
                     const GradOutputs& grad_outputs, const GradInputs& grad_inputs, const Device& device,
                     void* workspace) {
  return with_dtype(dtype, [&](auto zero) {
    return backward_as<decltype(zero)>(shape, inputs, saved, grad_outputs, grad_inputs, device, workspace);
  });
}

}  // namespace sma::cuda
