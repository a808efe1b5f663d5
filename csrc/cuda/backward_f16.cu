// Backward kernels for __half.
#include "launch_backward.cuh"

namespace sma::cuda {

template int64_t backward_workspace_as<__half>(const Shape&, const Inputs&, const GradOutputs&, const GradInputs&,
                                               const Device&);
template const char* backward_as<__half>(const Shape&, const Inputs&, const Saved&, const GradOutputs&,
                                         const GradInputs&, const Device&, void*);

}  // namespace sma::cuda
