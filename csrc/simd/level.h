// Which instruction set the element-wise kernels run on: that of the one table (isa/dispatch.h), as far as they
// have it.
#pragma once

#include <string>
#include <vector>

namespace progrm_fast::simd {

// kScalar is the compiler's baseline (SSE2 on x86-64, NEON on aarch64).
enum class Level { kScalar = 0, kAvx2 = 1 };

// Names that this machine can run, slowest first.
std::vector<std::string> available_levels();

// The richest level that the instruction set in use covers. Throws as isa::active() does.
Level current_level();

const char* level_name(Level level);

}  // namespace progrm_fast::simd
