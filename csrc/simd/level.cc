#include "simd/level.h"

#include <cstring>

#include "isa/dispatch.h"

namespace progrm_fast::simd {

const char* level_name(Level level) { return level == Level::kAvx2 ? "avx2" : "scalar"; }

std::vector<std::string> available_levels() {
  std::vector<std::string> names{"scalar"};
  for (int i = 0; i < isa::variant_count(); ++i) {
    const isa::Variant& variant = isa::variants()[i];
    if (std::strcmp(variant.name, "avx2") == 0 && variant.runs_here()) names.push_back("avx2");
  }
  return names;
}

Level current_level() {
  const char* name = isa::active().name;
  const bool avx2 = std::strcmp(name, "avx2") == 0 || std::strcmp(name, "avx512") == 0;
  return avx2 ? Level::kAvx2 : Level::kScalar;
}

}  // namespace progrm_fast::simd
