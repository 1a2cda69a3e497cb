// The kernels for AVX2: the recurrence, written once, compiled for it.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "isa/dispatch.h"
#include "isa/kernels.h"

#define PROGRM_FAST_ISA avx2
#define PROGRM_FAST_QUOTED(name) #name
#define PROGRM_FAST_TEXT(name) PROGRM_FAST_QUOTED(name)
#define PROGRM_FAST_INLINE inline __attribute__((always_inline))

// clang-format off: the order of these is what they are for
#include "isa/begin_avx2.h"
#include "isa/simd_avx2-inl.h"
#include "lcs/lcs_bitparallel-inl.h"
#include "isa/end_avx2.h"
// clang-format on

namespace progrm_fast::isa {

const Kernels kAvx2Kernels = PROGRM_FAST_ISA::kernels();

}  // namespace progrm_fast::isa
#endif
