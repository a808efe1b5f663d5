// Forward kernels for __half.
#include "launch_forward.cuh"

namespace sma::cuda {

template int64_t forward_workspace_as<__half>(const Shape&, const Inputs&, const Outputs&, const Device&);
template const char* forward_as<__half>(const Shape&, const Inputs&, const Outputs&, const Device&, void*);

}  // namespace sma::cuda
