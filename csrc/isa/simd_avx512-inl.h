// The vector operations that plain C++ on vector types does not express, for AVX-512. Included in its target
// region.

namespace progrm_fast::isa::PROGRM_FAST_ISA {
namespace {

constexpr int kVectorBytes = 64;
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
  const __m512i x = (__m512i)lanes;
  if (kBits == 8) return (Lanes<kBits>)_mm512_popcnt_epi8(x);
  if (kBits == 16) return (Lanes<kBits>)_mm512_popcnt_epi16(x);
  if (kBits == 32) return (Lanes<kBits>)_mm512_popcnt_epi32(x);
  return (Lanes<kBits>)_mm512_popcnt_epi64(x);
}

// d & (w | m) in one instruction.
template <int kBits>
PROGRM_FAST_INLINE Lanes<kBits> and_with_either(Lanes<kBits> d, Lanes<kBits> w, Lanes<kBits> m) {
  return (Lanes<kBits>)_mm512_ternarylogic_epi64((__m512i)d, (__m512i)w, (__m512i)m, 0xE0);
}

// (w - u) & (w | m) with u = m & ~w.
template <int kBits>
PROGRM_FAST_INLINE Lanes<kBits> step(Lanes<kBits> w, Lanes<kBits> m) {
  return and_with_either<kBits>(w - (m & ~w), w, m);
}

// All ones in the lanes whose top bit is set.
PROGRM_FAST_INLINE Lanes<64> sign(Lanes<64> d) { return (Lanes<64>)_mm512_srai_epi64((__m512i)d, 63); }

}  // namespace
}  // namespace progrm_fast::isa::PROGRM_FAST_ISA
