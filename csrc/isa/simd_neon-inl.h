// The vector operations that plain C++ on vector types does not express, for NEON, which every 64-bit ARM has.

namespace progrm_fast::isa::PROGRM_FAST_ISA {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kMinLaneBits = 8;

template <int kBits>
struct LaneType;
template <>
struct LaneType<8> {
  typedef uint8_t type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct LaneType<16> {
  typedef uint16_t type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct LaneType<32> {
  typedef uint32_t type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct LaneType<64> {
  typedef uint64_t type __attribute__((vector_size(kVectorBytes)));
};
template <int kBits>
using Lanes = typename LaneType<kBits>::type;

// Number of set bits of each lane.
template <int kBits>
PROGRM_FAST_INLINE Lanes<kBits> popcount(Lanes<kBits> lanes) {
  const uint8x16_t bytes = vcntq_u8((uint8x16_t)lanes);
  if (kBits == 8) return (Lanes<kBits>)bytes;
  if (kBits == 16) return (Lanes<kBits>)vpaddlq_u8(bytes);
  if (kBits == 32) return (Lanes<kBits>)vpaddlq_u16(vpaddlq_u8(bytes));
  return (Lanes<kBits>)vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes)));
}

// (w - u) & (w | m) with u = m & ~w.
template <int kBits>
PROGRM_FAST_INLINE Lanes<kBits> step(Lanes<kBits> w, Lanes<kBits> m) {
  return (w - (m & ~w)) & (w | m);
}

template <int kBits>
PROGRM_FAST_INLINE Lanes<kBits> and_with_either(Lanes<kBits> d, Lanes<kBits> w, Lanes<kBits> m) {
  return d & (w | m);
}

// All ones in the lanes whose top bit is set.
PROGRM_FAST_INLINE Lanes<64> sign(Lanes<64> d) { return (Lanes<64>)vshrq_n_s64((int64x2_t)d, 63); }

}  // namespace
}  // namespace progrm_fast::isa::PROGRM_FAST_ISA
