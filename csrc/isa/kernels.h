// What an instruction set provides: the inner loops over lane groups. Everything around them is baseline code.
//
// A lane group holds sequences ("queries"), one per lane, and a table with one row per symbol: vector k of word i
// of a row is at row + (i * n_vectors + k) * vector_bytes, and lane l of it is the mask of the positions that the
// symbol matches in query (k, l). Row 0 is all zeros. row_of[symbol] is the row's distance from `rows` in bytes.
#pragma once

#include <cstdint>

namespace progrm_fast::isa {

struct LaneTable {
  int lane_bits;  // 8, 16, 32 or 64
  int n_vectors;
  int n_words;  // 1, or with lane_bits 64 words of 63 positions, whose top bit is free for the borrow
  const uint8_t* rows;
  const uint32_t* row_of;
};

struct Target {
  const int32_t* symbols;
  int64_t length;
};

constexpr int kMaxVectors = 8;  // of a group of one word
constexpr int kMaxWords = 8;    // of a group kept in registers; longer queries are cut into such blocks
constexpr int kWordBits = 63;

struct Kernels {
  int vector_bytes;
  int min_lane_bits;

  // One word. Byte p of a target's strip is the length for the lane that strip_slot() names.
  void (*lengths)(const LaneTable& table, const Target* targets, int64_t n_targets, uint8_t* strips);

  // Several words, n_vectors = 1: adds the lengths to counts[0 .. lanes). If `borrows` is not null, it holds one
  // vector per symbol of the target: read as the borrow out of the block below, replaced by that of this block.
  void (*lengths_words)(const LaneTable& table, const Target& target, uint64_t* borrows, uint32_t* counts);
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels, kAvx512Kernels;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
#endif

// Bytes a target takes in `strips`: counts of 8 / r vectors, r = lane_bits / 8, are interleaved into one.
inline int strip_bytes(const LaneTable& table, int vector_bytes) {
  const int r = table.lane_bits / 8;
  return (table.n_vectors + r - 1) / r * vector_bytes;
}

}  // namespace progrm_fast::isa
