// Backward kernels for float.
#include "launch_backward.cuh"

namespace sma::cuda {

template int64_t backward_workspace_as<float>(const Shape&, const Inputs&, const GradOutputs&, const GradInputs&,
                                              const Device&);
template const char* backward_as<float>(const Shape&, const Inputs&, const Saved&, const GradOutputs&,
                                        const GradInputs&, const Device&, void*);

}  // namespace sma::cuda
