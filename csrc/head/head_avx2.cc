// The head kernels on AVX2 and FMA.
#if defined(__x86_64__)
#include <cstdint>
#include <cstring>

#include "head/kernels.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#define PROGRM_FAST_ISA_NAMESPACE head_avx2
// clang-format off: the region must open before its contents
#include "simd/begin_avx2_fma.h"
#include "head/kernels-inl.h"
#include "simd/end_region.h"
// clang-format on

namespace progrm_fast::head {

const Kernels kAvx2Kernels = {head_avx2::project_kernel, head_avx2::add_row_kernel};

}  // namespace progrm_fast::head
#endif  // __x86_64__
