// The scan kernels on the compiler's baseline: SSE2 on x86-64, NEON on aarch64.
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "scan/kernels.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are passed between inlined functions only
#define PROGRM_FAST_ISA_NAMESPACE scan_scalar
#include "scan/kernels-inl.h"
#include "scan/kl-inl.h"

namespace progrm_fast::scan {

const Kernels kScalarKernels = {scan_scalar::scan_kernel, scan_scalar::moments_kernel,
                                scan_scalar::normalize_kernel, scan_scalar::kl_kernel};

}  // namespace progrm_fast::scan
