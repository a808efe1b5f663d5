// Forward kernels for __nv_bfloat16.
#include "launch_forward.cuh"

namespace sma::cuda {

template int64_t forward_workspace_as<__nv_bfloat16>(const Shape&, const Inputs&, const Outputs&, const Device&);
template const char* forward_as<__nv_bfloat16>(const Shape&, const Inputs&, const Outputs&, const Device&, void*);

}  // namespace sma::cuda
