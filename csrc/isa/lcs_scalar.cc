// The kernels for plain 64-bit words: the recurrence, written once, compiled for it.
#include <cstdint>
#include <cstring>

#include "isa/dispatch.h"
#include "isa/kernels.h"

#define PROGRM_FAST_ISA scalar
#define PROGRM_FAST_QUOTED(name) #name
#define PROGRM_FAST_TEXT(name) PROGRM_FAST_QUOTED(name)
#define PROGRM_FAST_INLINE inline __attribute__((always_inline))

// clang-format off: the order of these is what they are for
#include "isa/simd_scalar-inl.h"
#include "lcs/lcs_bitparallel-inl.h"
// clang-format on

namespace progrm_fast::isa {

const Kernels kScalarKernels = PROGRM_FAST_ISA::kernels();

}  // namespace progrm_fast::isa
