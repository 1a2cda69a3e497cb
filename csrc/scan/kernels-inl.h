// Row kernels of the scan, written once. Include inside a target region.
//
// The scan carries u = c R + (gamma - c) V with c = gamma lam and R = A + V, because then R_t = r_t + u_next and
// u_t = c u_next + [c r_t + (gamma - c) V_t] is a first-order linear recurrence: no look-up of the next valid
// value. A masked position is the identity (factor 1, term 0). Eight lanes are scanned in three steps; the carry
// between blocks is double, and its factor c^k comes from a table of doubles, so rounding does not build up along a
// row.
#include "simd/lanes-inl.h"

namespace progrm_fast::PROGRM_FAST_ISA_NAMESPACE {

// Elements converted to fp32 and byte masks at a time; the buffers stay in the first-level cache.
constexpr std::int64_t kChunk = 512;

template <int N>
PROGRM_FAST_INLINE F8 shift_down(F8 x, F8 fill) {
  return __builtin_shufflevector(x, fill, N, N + 1, N + 2, N + 3, N + 4, N + 5, N + 6, N + 7);
}

// Running moments around a shift that is itself one of the elements: constants give exactly zero.
struct RunningMoments {
  D4 sum{}, sum_of_squares{};
  std::int64_t count = 0;
  float shift = 0;
};

// Adds the valid ones of x[0, n). The order of additions depends on n and the position only.
static inline void accumulate(const float* x, const std::uint8_t* bytes, std::int64_t n, RunningMoments& moments) {
  std::int64_t i = 0;
  if (moments.count == 0) {
    while (i < n && bytes[i] == 0) ++i;
    if (i == n) return;
    moments.shift = x[i];
    i = 0;
  }
  const F8 shift = splat(moments.shift);
  const D4 shift_double = splat_double(static_cast<double>(moments.shift));
  D4 sum = moments.sum, sum_of_squares = moments.sum_of_squares;
  std::uint64_t count = 0;
  for (; i + 8 <= n; i += 8) {
    const F8 chosen = select(mask_of_bytes(bytes + i), load<F8>(x + i), shift);
    const D4 low = low_half(chosen) - shift_double, high = high_half(chosen) - shift_double;
    sum += low + high;
    sum_of_squares += low * low + high * high;
    count += (load<std::uint64_t>(bytes + i) * 0x0101010101010101ull) >> 56;
  }
  for (; i < n; ++i) {
    if (bytes[i] == 0) continue;
    const double d = static_cast<double>(x[i]) - static_cast<double>(moments.shift);
    sum += D4{d, 0, 0, 0};
    sum_of_squares += D4{d * d, 0, 0, 0};
    ++count;
  }
  moments.sum = sum;
  moments.sum_of_squares = sum_of_squares;
  moments.count += static_cast<std::int64_t>(count);
}

static inline scan::Moments result_of(const RunningMoments& moments) {
  scan::Moments result;
  if (moments.count == 0) return result;
  const double sum = (moments.sum[0] + moments.sum[1]) + (moments.sum[2] + moments.sum[3]);
  const double sum_of_squares = (moments.sum_of_squares[0] + moments.sum_of_squares[1]) +
                                (moments.sum_of_squares[2] + moments.sum_of_squares[3]);
  result.count = static_cast<double>(moments.count);
  result.mean = static_cast<double>(moments.shift) + sum / result.count;
  const double m2 = sum_of_squares - sum * (sum / result.count);
  result.m2 = m2 < 0 ? 0 : m2;  // keeps NaN
  return result;
}

// Input elements [first, first + n) of one row as fp32 or bytes: in place where they already are that, else
// converted.
struct FloatChunk {
  alignas(32) float buffer[kChunk];

  const float* get(const simd::View& view, std::int64_t first, std::int64_t n) {
    if (view.kind == simd::Kind::kFloat32) return static_cast<const float*>(view.data) + first;
    to_float32(view.data, view.kind, first, n, buffer);
    return buffer;
  }
};

struct ByteChunk {
  alignas(32) std::uint8_t buffer[kChunk];

  // Always a copy: bytes other than 0 and 1 count as 1.
  const std::uint8_t* get(const simd::View& view, std::int64_t first, std::int64_t n) {
    if (!view) return ones();
    to_bytes(view.data, view.kind, first, n, buffer);
    return buffer;
  }

  static const std::uint8_t* ones() {
    struct Ones {
      std::uint8_t bytes[kChunk];
      Ones() { std::memset(bytes, 1, sizeof bytes); }
    };
    static const Ones all;
    return all.bytes;
  }
};

struct ScanConstants {
  float c, v_weight;  // c = gamma lam, v_weight = gamma - c
  double c_exact, v_weight_exact;
  double power[9];  // c^k
};

struct BlockOutput {
  F8 advantages, returns;
};

template <bool kValues>
PROGRM_FAST_INLINE BlockOutput scan_block(const ScanConstants& k, F8 r, F8 v, const std::uint8_t* bytes,
                                          double& u) {
  const I8 valid = mask_of_bytes(bytes);
  const F8 zero = splat(0), one = splat(1);
  F8 a = select(valid, splat(k.c), one);
  F8 b = select(valid, kValues ? splat(k.c) * r + splat(k.v_weight) * v : splat(k.c) * r, zero);
  b += a * shift_down<1>(b, zero);
  a *= shift_down<1>(a, one);
  b += a * shift_down<2>(b, zero);
  a *= shift_down<2>(a, one);
  b += a * shift_down<4>(b, zero);
  a *= shift_down<4>(a, one);
  const F8 u_next = shift_down<1>(b, zero) + shift_down<1>(a, one) * splat(static_cast<float>(u));
  std::uint64_t packed;
  std::memcpy(&packed, bytes, sizeof packed);
  u = static_cast<double>(b[0]) + k.power[(packed * 0x0101010101010101ull) >> 56] * u;
  BlockOutput out;
  const F8 returns = r + u_next;
  out.returns = select(valid, returns, zero);
  out.advantages = kValues ? select(valid, returns - v, zero) : out.returns;
  return out;
}

// One position at a time, for rows with `dones`.
struct ScalarOutput {
  float advantage, returns;
};

PROGRM_FAST_INLINE ScalarOutput scan_one(const ScanConstants& k, float r, float v, bool done, double& u) {
  const double returns = done ? static_cast<double>(r) : static_cast<double>(r) + u;
  u = k.c_exact * returns + k.v_weight_exact * static_cast<double>(v);
  return {static_cast<float>(returns - static_cast<double>(v)), static_cast<float>(returns)};
}

template <bool kValues>
static void scan_rows(const scan::ScanArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  ScanConstants k;
  k.c_exact = args.gamma * args.lam;
  k.v_weight_exact = args.gamma - k.c_exact;
  k.c = static_cast<float>(k.c_exact);
  k.v_weight = static_cast<float>(k.v_weight_exact);
  k.power[0] = 1;
  for (int i = 1; i < 9; ++i) k.power[i] = k.power[i - 1] * k.c_exact;
  FloatChunk reward_chunk, value_chunk;
  ByteChunk mask_chunk, done_chunk;
  alignas(32) float r8[8], v8[8];
  alignas(8) std::uint8_t m8[8];

  for (std::int64_t row = row_begin; row < row_end; ++row) {
    double u = 0;
    RunningMoments moments;
    if (args.last_values != nullptr) u = args.gamma * static_cast<double>(args.last_values[row]);
    const simd::Rows& rows = args.rows;
    const std::int64_t reward_first = rows.begin(row, args.rewards.row_stride);
    const std::int64_t value_first = rows.begin(row, args.values.row_stride);
    const std::int64_t mask_first = rows.begin(row, args.mask.row_stride);
    const std::int64_t done_first = rows.begin(row, args.dones.row_stride);
    float* returns = args.returns.data + rows.begin(row, args.returns.row_stride);
    float* advantages =
        args.advantages ? args.advantages.data + rows.begin(row, args.advantages.row_stride) : nullptr;

    for (std::int64_t end = rows.size(row), n; end > 0; end -= n) {
      n = end < kChunk ? end : kChunk;
      const std::int64_t first = end - n;
      const float* r = reward_chunk.get(args.rewards, reward_first + first, n);
      const float* v = kValues ? value_chunk.get(args.values, value_first + first, n) : nullptr;
      const std::uint8_t* m = mask_chunk.get(args.mask, mask_first + first, n);
      const std::uint8_t* done = args.dones ? done_chunk.get(args.dones, done_first + first, n) : nullptr;

      for (std::int64_t i = n; i > 0;) {
        const std::int64_t width = i < 8 ? i : 8;
        i -= width;
        // A short block sits in the upper lanes, below it masked padding.
        const bool whole = width == 8;
        const std::int64_t pad = 8 - width;
        const float* r_lanes = r + i;
        const float* v_lanes = kValues ? v + i : nullptr;
        const std::uint8_t* m_lanes = m + i;
        if (!whole) {
          std::memset(r8, 0, sizeof r8);
          std::memset(v8, 0, sizeof v8);
          std::memset(m8, 0, sizeof m8);
          std::memcpy(r8 + pad, r_lanes, static_cast<std::size_t>(width) * sizeof(float));
          if (kValues) std::memcpy(v8 + pad, v_lanes, static_cast<std::size_t>(width) * sizeof(float));
          std::memcpy(m8 + pad, m_lanes, static_cast<std::size_t>(width));
          r_lanes = r8, v_lanes = v8, m_lanes = m8;
        }
        BlockOutput out{};
        if (done == nullptr) {
          out = scan_block<kValues>(k, load<F8>(r_lanes), kValues ? load<F8>(v_lanes) : splat(0), m_lanes, u);
        } else {
          for (int lane = 7; lane >= pad; --lane) {
            if (!m_lanes[lane]) continue;
            const ScalarOutput one =
                scan_one(k, r_lanes[lane], kValues ? v_lanes[lane] : 0.0f, done[i + lane - pad] != 0, u);
            out.advantages[lane] = one.advantage;
            out.returns[lane] = one.returns;
          }
        }
        if (whole) {
          store(returns + first + i, out.returns);
          if (advantages != nullptr) store(advantages + first + i, out.advantages);
        } else {
          const std::size_t size = static_cast<std::size_t>(width) * sizeof(float);
          std::memcpy(returns + first, reinterpret_cast<const float*>(&out.returns) + pad, size);
          if (advantages != nullptr) {
            std::memcpy(advantages + first, reinterpret_cast<const float*>(&out.advantages) + pad, size);
          }
        }
      }
      if (args.moments != nullptr) accumulate((kValues ? advantages : returns) + first, m, n, moments);
    }
    if (args.moments != nullptr) args.moments[row] = result_of(moments);
  }
}

static void scan_kernel(const scan::ScanArgs& args, std::int64_t begin, std::int64_t end) {
  args.values ? scan_rows<true>(args, begin, end) : scan_rows<false>(args, begin, end);
}

static void moments_kernel(const scan::MomentsArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  FloatChunk x_chunk;
  ByteChunk mask_chunk;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    RunningMoments moments;
    const std::int64_t size = args.rows.size(row);
    for (std::int64_t first = 0; first < size; first += kChunk) {
      const std::int64_t n = size - first < kChunk ? size - first : kChunk;
      const float* x = x_chunk.get(args.x, args.rows.begin(row, args.x.row_stride) + first, n);
      const std::uint8_t* m = mask_chunk.get(args.mask, args.rows.begin(row, args.mask.row_stride) + first, n);
      accumulate(x, m, n, moments);
    }
    args.moments[row] = result_of(moments);
  }
}

static void normalize_kernel(const scan::NormalizeArgs& args, std::int64_t row_begin, std::int64_t row_end) {
  FloatChunk x_chunk;
  ByteChunk mask_chunk;
  const F8 shift = splat(args.shift), scale = splat(args.scale), offset = splat(args.offset), zero = splat(0);
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const std::int64_t size = args.rows.size(row);
    float* out_row = args.out.data + args.rows.begin(row, args.out.row_stride);
    for (std::int64_t first = 0; first < size; first += kChunk) {
      const std::int64_t n = size - first < kChunk ? size - first : kChunk;
      const float* x = x_chunk.get(args.x, args.rows.begin(row, args.x.row_stride) + first, n);
      const std::uint8_t* m = mask_chunk.get(args.mask, args.rows.begin(row, args.mask.row_stride) + first, n);
      float* out = out_row + first;
      std::int64_t i = 0;
      for (; i + 8 <= n; i += 8) {
        store(out + i, select(mask_of_bytes(m + i), (load<F8>(x + i) - shift) * scale + offset, zero));
      }
      for (; i < n; ++i) out[i] = m[i] ? (x[i] - args.shift) * args.scale + args.offset : 0.0f;
    }
  }
}

}  // namespace progrm_fast::PROGRM_FAST_ISA_NAMESPACE
