// The same operations on plain 64-bit words: one lane to a "vector".

namespace progrm_fast::isa::PROGRM_FAST_ISA {
namespace {

constexpr int kVectorBytes = 8;
constexpr int kMinLaneBits = 64;

template <int kBits>
using Lanes = uint64_t;

template <int kBits>
PROGRM_FAST_INLINE uint64_t popcount(uint64_t x) {
  return static_cast<uint64_t>(__builtin_popcountll(x));
}

// (w - u) & (w | m) with u = m & ~w.
template <int kBits>
PROGRM_FAST_INLINE uint64_t step(uint64_t w, uint64_t m) {
  return (w - (m & ~w)) & (w | m);
}

template <int kBits>
PROGRM_FAST_INLINE uint64_t and_with_either(uint64_t d, uint64_t w, uint64_t m) {
  return d & (w | m);
}

// All ones if the top bit is set.
PROGRM_FAST_INLINE uint64_t sign(uint64_t d) { return uint64_t{0} - (d >> 63); }

}  // namespace
}  // namespace progrm_fast::isa::PROGRM_FAST_ISA
