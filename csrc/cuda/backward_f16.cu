// Backward kernels for __half.
#include "launch_backward.cuh"

namespace sma::cuda {

template int64_t backward_workspace_as<__half>(const Shape&, const Inputs&, const Cotangents&, const Gradients&,
                                               const Device&);
template const char* backward_as<__half>(const Shape&, const Inputs&, const Saved&, const Cotangents&, const Gradients&,
                                         const Device&, void*);

}  // namespace sma::cuda
