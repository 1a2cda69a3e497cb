#include "simd/level.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace progrm_fast::simd {
namespace {

bool has_avx2() {
#if defined(__x86_64__)
  static const bool found = __builtin_cpu_supports("avx2");
  return found;
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
  static const bool found = __builtin_cpu_supports("avx512f");
  return found;
#else
  return false;
#endif
}

}  // namespace

const char* level_name(Level level) { return level == Level::kAvx2 ? "avx2" : "scalar"; }

std::vector<std::string> available_levels() {
  std::vector<std::string> names{"scalar"};
  if (has_avx2()) names.push_back("avx2");
  return names;
}

Level current_level() {
  const Level best = has_avx2() ? Level::kAvx2 : Level::kScalar;
  const char* forced = std::getenv("PROGRM_FAST_ISA");
  if (forced == nullptr || *forced == '\0') return best;
  if (std::strcmp(forced, "scalar") == 0) return Level::kScalar;
  if (std::strcmp(forced, "avx2") == 0 && has_avx2()) return Level::kAvx2;
  if (std::strcmp(forced, "avx512") == 0 && has_avx512()) return best;
#if defined(__aarch64__)
  if (std::strcmp(forced, "neon") == 0) return Level::kScalar;
#endif
  throw std::invalid_argument(std::string("PROGRM_FAST_ISA: expected an instruction set of this machine, got '") +
                              forced + "'");
}

}  // namespace progrm_fast::simd
