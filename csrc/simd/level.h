// Which instruction set the element-wise kernels run on. The environment variable PROGRM_FAST_ISA forces one by
// name.
#ifndef PROGRM_FAST_SIMD_LEVEL_H_
#define PROGRM_FAST_SIMD_LEVEL_H_

#include <string>
#include <vector>

namespace progrm_fast::simd {

// kScalar is the compiler's baseline (SSE2 on x86-64, NEON on aarch64).
enum class Level { kScalar = 0, kAvx2 = 1 };

// Names that this machine can run, slowest first.
std::vector<std::string> available_levels();

// The level in force. PROGRM_FAST_ISA is read on every call; a name that is no instruction set at all, or one that
// this machine cannot run, throws std::invalid_argument. A richer set than any kernel here uses means the richest
// one here.
Level current_level();

const char* level_name(Level level);

}  // namespace progrm_fast::simd

#endif  // PROGRM_FAST_SIMD_LEVEL_H_
