#include "isa/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace progrm_fast::isa {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bitalg") &&
         __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

constexpr Variant kVariants[] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, true, &kAvx512Kernels},
    {"avx2", has_avx2, true, &kAvx2Kernels},
#elif defined(__aarch64__)
    {"neon", always, true, &kNeonKernels},
#endif
    {"scalar", always, true, &kScalarKernels},
    {"reference", always, false, nullptr},
};
constexpr int kCount = sizeof(kVariants) / sizeof(kVariants[0]);

std::atomic<const Variant*> chosen{nullptr};
std::atomic<int64_t> lane_groups[kCount];

const Variant& automatic() {
  for (const Variant& variant : kVariants) {
    if (variant.automatic && variant.runs_here()) return variant;
  }
  throw std::logic_error("no instruction set runs here");
}

const Variant& by_name(const std::string& name, const char* argument) {
  if (name == "auto") return automatic();
  std::string names = "auto";
  for (const Variant& variant : kVariants) {
    if (!variant.runs_here()) continue;
    if (name == variant.name) return variant;
    names += std::string(", ") + variant.name;
  }
  throw std::invalid_argument(std::string(argument) + ": expected one of " + names + ", got '" + name + "'");
}

}  // namespace

const Variant* variants() { return kVariants; }
int variant_count() { return kCount; }

const Variant& active() {
  if (const Variant* variant = chosen.load(std::memory_order_acquire)) return *variant;
  const char* name = std::getenv("PROGRM_FAST_ISA");
  const Variant& variant = name && *name ? by_name(name, "PROGRM_FAST_ISA") : automatic();
  const Variant* expected = nullptr;  // a variant forced meanwhile stays
  chosen.compare_exchange_strong(expected, &variant, std::memory_order_acq_rel);
  return expected ? *expected : variant;
}

void force(const std::string& name) { chosen.store(&by_name(name, "name"), std::memory_order_release); }

void count_lane_group(const Kernels& kernels) {
  for (int v = 0; v < kCount; ++v) {
    if (std::strcmp(kVariants[v].name, kernels.name) == 0) lane_groups[v].fetch_add(1, std::memory_order_relaxed);
  }
}

int64_t lane_groups_run(const std::string& name) {
  for (int v = 0; v < kCount; ++v) {
    if (name == kVariants[v].name) return lane_groups[v].load(std::memory_order_relaxed);
  }
  return 0;
}

}  // namespace progrm_fast::isa
