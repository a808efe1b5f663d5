// The kernels for any CPU of the target architecture.
#define SMA_ISA baseline
#define SMA_VECTOR_BYTES 16
#include "instruction_set.h"
