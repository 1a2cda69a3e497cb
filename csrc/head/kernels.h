// The row kernels of one instruction set.
#ifndef PROGRM_FAST_HEAD_KERNELS_H_
#define PROGRM_FAST_HEAD_KERNELS_H_

#include "head/progress_head.h"

namespace progrm_fast::head {

// A row is read by lines of so many bytes, for that is what memory gives.
constexpr std::int64_t kLine = 64;
constexpr std::int64_t kHalvesInLine = kLine / 2;

struct Kernels {
  // Writes dots and scales of the n steps whose numbers `steps` holds.
  void (*project)(const Projection& projection, const std::int64_t* steps, std::int64_t n);
  // sums[0, width) += factor * row
  void (*add_row)(const void* row, simd::Kind kind, std::int64_t width, float factor, float* sums);
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
#endif

}  // namespace progrm_fast::head

#endif  // PROGRM_FAST_HEAD_KERNELS_H_
