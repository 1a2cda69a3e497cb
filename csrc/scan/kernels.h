// The row kernels of one instruction set. Each handles rows [begin, end) on the calling thread.
#ifndef PROGRM_FAST_SCAN_KERNELS_H_
#define PROGRM_FAST_SCAN_KERNELS_H_

#include "scan/scan.h"

namespace progrm_fast::scan {

struct Kernels {
  void (*scan)(const ScanArgs&, std::int64_t begin, std::int64_t end);
  void (*masked_moments)(const MomentsArgs&, std::int64_t begin, std::int64_t end);
  void (*normalize)(const NormalizeArgs&, std::int64_t begin, std::int64_t end);
  void (*token_kl)(const KlArgs&, std::int64_t begin, std::int64_t end);
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
#endif

}  // namespace progrm_fast::scan

#endif  // PROGRM_FAST_SCAN_KERNELS_H_
