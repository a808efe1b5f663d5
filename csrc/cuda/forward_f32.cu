// Forward kernels for float.
#include "launch_forward.cuh"

namespace sma::cuda {

template int64_t forward_workspace_as<float>(const Shape&, const Inputs&, const Outputs&, const Device&);
template const char* forward_as<float>(const Shape&, const Inputs&, const Outputs&, const Device&, void*);

}  // namespace sma::cuda
