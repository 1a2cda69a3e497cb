// The scan kernels on AVX2.
#if defined(__x86_64__)
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "scan/kernels.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#define PROGRM_FAST_ISA_NAMESPACE scan_avx2
// clang-format off: the region must open before its contents
#include "simd/begin_avx2.h"
#include "scan/kernels-inl.h"
#include "scan/kl-inl.h"
#include "simd/end_region.h"
// clang-format on

namespace progrm_fast::scan {

const Kernels kAvx2Kernels = {scan_avx2::scan_kernel, scan_avx2::moments_kernel, scan_avx2::normalize_kernel,
                              scan_avx2::kl_kernel};

}  // namespace progrm_fast::scan
#endif  // __x86_64__
