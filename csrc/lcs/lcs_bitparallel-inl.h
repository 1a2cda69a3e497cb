// The bit-parallel recurrence (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"), one text symbol a
// step.
//
// Bit j of W is set when the table row grows between columns j and j + 1; Hyyrö's vector is V = ~W. With M the mask
// of the pattern positions that the symbol matches and U = M & ~W,
//   W' = (W - U) & (W | M)
// where the borrow runs through the whole pattern. W starts at 0 and bits above the pattern stay 0, so that the
// length is the number of set bits.
#pragma once

#include <cstdint>

namespace progrm_fast::lcs {

inline void bitparallel_step(uint64_t* w, const uint64_t* masks, int64_t words) {
  uint64_t borrow = 0;
  for (int64_t k = 0; k < words; ++k) {
    const uint64_t old = w[k];
    const uint64_t u = masks[k] & ~old;
    const uint64_t difference = old - u - borrow;
    borrow = (old < u) | ((old == u) & borrow);
    w[k] = difference & (old | masks[k]);
  }
}

}  // namespace progrm_fast::lcs
