// The kernels for any CPU of the architecture the compiler targets.
#define SMA_ISA baseline
#define SMA_VECTOR_BYTES 16
#include "instruction_set.h"
