// The probes as a library for a GPU: pointers are to device memory.
#include "probes.cuh"

extern "C" const char* probe(int operation, const void* in, void* out, void* stream) {
  return sma::cuda::launch_probe(operation, in, out, stream);
}
