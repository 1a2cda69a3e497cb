// Transposition with a free choice of destination rows: how results computed in lanes reach the caller's matrix. A
// permutation of columns costs a scattered store per entry; two transpositions and a permutation of rows do not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace progrm_fast::lcs {

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PROGRM_FAST_HAS_SHUFFLE 1
#endif
#endif

#ifdef PROGRM_FAST_HAS_SHUFFLE
typedef uint8_t Bytes16 __attribute__((vector_size(16)));

// 16 x 16 bytes: four rounds that interleave row i with row i + 8.
inline void transpose_16x16(const uint8_t* from, int64_t stride, Bytes16* rows) {
  Bytes16 other[16];
  for (int i = 0; i < 16; ++i) std::memcpy(&rows[i], from + i * stride, 16);
  const auto interleave = [](const Bytes16* in, Bytes16* out) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      out[2 * i] =
          __builtin_shufflevector(in[i], in[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      out[2 * i + 1] =
          __builtin_shufflevector(in[i], in[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
  };
  interleave(rows, other);
  interleave(other, rows);
  interleave(rows, other);
  interleave(other, rows);
}
#endif

// Writes from[r * stride + c] to to_row(c)[r] for r < rows, c < columns. Byte sources must be readable up to the
// next multiple of 16 in both directions.
template <typename From, typename To, typename ToRow>
void transpose(const From* from, int64_t stride, int64_t rows, int64_t columns, ToRow to_row, To* /* tag */) {
  constexpr int64_t kStrip = 64;  // columns done together, so that whole cache lines are read
  for (int64_t c0 = 0; c0 < columns; c0 += kStrip) {
    const int64_t c1 = std::min(columns, c0 + kStrip);
    for (int64_t r0 = 0; r0 < rows; r0 += 16) {
      const int64_t n = std::min<int64_t>(16, rows - r0);
#ifdef PROGRM_FAST_HAS_SHUFFLE
      if constexpr (std::is_same_v<From, uint8_t> && std::is_same_v<To, uint8_t>) {
        for (int64_t c = c0; c < c1; c += 16) {
          Bytes16 block[16];
          transpose_16x16(from + r0 * stride + c, stride, block);
          const int64_t m = std::min<int64_t>(16, c1 - c);
          if (n == 16) {
            for (int64_t k = 0; k < m; ++k) std::memcpy(to_row(c + k) + r0, &block[k], 16);
          } else {
            for (int64_t k = 0; k < m; ++k) std::memcpy(to_row(c + k) + r0, &block[k], static_cast<size_t>(n));
          }
        }
        continue;
      }
#endif
      for (int64_t c = c0; c < c1; ++c) {
        To* to = to_row(c) + r0;
        const From* source = from + r0 * stride + c;
        for (int64_t r = 0; r < n; ++r) to[r] = static_cast<To>(source[r * stride]);
      }
    }
  }
}

}  // namespace progrm_fast::lcs
