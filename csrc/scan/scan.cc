#include "scan/scan.h"

#include <cmath>

#include "scan/kernels.h"
#include "simd/level.h"
#include "simd/parallel.h"

namespace progrm_fast::scan {
namespace {

const Kernels& kernels() {
#if defined(__x86_64__)
  if (simd::current_level() == simd::Level::kAvx2) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

std::int64_t bytes_per_element(const simd::View& view) { return view ? simd::element_size(view.kind) : 0; }

}  // namespace

void scan(const ScanArgs& args, int max_threads) {
  const std::int64_t per_element = bytes_per_element(args.rewards) + bytes_per_element(args.values) +
                                   bytes_per_element(args.mask) + (args.advantages ? 8 : 4);
  const auto kernel = kernels().scan;
  simd::parallel_for(args.rows.n_rows, per_element * args.rows.n_elements(), max_threads,
                     [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

void masked_moments(const MomentsArgs& args, int max_threads) {
  const auto kernel = kernels().masked_moments;
  simd::parallel_for(args.rows.n_rows, 4 * args.rows.n_elements(), max_threads,
                     [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

void normalize(const NormalizeArgs& args, int max_threads) {
  const auto kernel = kernels().normalize;
  simd::parallel_for(args.rows.n_rows, 8 * args.rows.n_elements(), max_threads,
                     [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

void token_kl(const KlArgs& args, int max_threads) {
  const auto kernel = kernels().token_kl;
  simd::parallel_for(args.n, 12 * args.n, max_threads,
                     [&](std::int64_t begin, std::int64_t end) { kernel(args, begin, end); });
}

Moments merge_moments(const Moments* parts, std::int64_t n) {
  Moments total;
  double weighted = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    total.count += parts[i].count;
    if (parts[i].count > 0) weighted += parts[i].count * parts[i].mean;
  }
  if (total.count == 0) return total;
  total.mean = weighted / total.count;
  for (std::int64_t i = 0; i < n; ++i) {
    if (parts[i].count == 0) continue;
    const double offset = parts[i].mean - total.mean;
    total.m2 += parts[i].m2 + parts[i].count * offset * offset;
  }
  return total;
}

void set_whitening(const Moments& total, bool shift_mean, double eps, double correction, NormalizeArgs& args) {
  const double freedom = total.count - correction;
  const double variance = freedom > 0 ? total.m2 / freedom : 0.0;
  const double divisor = std::sqrt(variance + eps);
  args.shift = static_cast<float>(total.mean);
  args.shift_rest = static_cast<float>(total.mean - static_cast<double>(args.shift));
  args.scale = divisor == 0 ? 0.0f : static_cast<float>(1 / divisor);
  args.offset = shift_mean ? 0.0f : args.shift;
}

}  // namespace progrm_fast::scan
