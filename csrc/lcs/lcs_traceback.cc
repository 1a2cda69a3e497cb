// Which item of y each item of x matched: the recurrence with its history kept, then a walk back.
//
// Bits are positions of y, the text is x. With W_i the bits after i items of x: the highest set bit of W_i below
// the current limit is the earliest item of y at which the optimum is reached (trailing items of y dropped), and
// item i of x is needed exactly when that bit is still clear in W_{i-1} (else it is a trailing item of x, and is
// dropped).
#include <algorithm>
#include <vector>

#include "isa/dispatch.h"
#include "lcs/lcs.h"
#include "lcs/match_masks.h"
#include "lcs/work_queue.h"

namespace progrm_fast::lcs {
namespace {

constexpr double kNanosecondsPerWord = 3;

void bitparallel_step(uint64_t* w, const uint64_t* masks, int64_t words) {
  uint64_t borrow = 0;
  for (int64_t k = 0; k < words; ++k) {
    const uint64_t old = w[k];
    const uint64_t u = masks[k] & ~old;
    const uint64_t difference = old - u - borrow;
    borrow = (old < u) | ((old == u) & borrow);
    w[k] = difference & (old | masks[k]);
  }
}

// Position + 1 of the highest set bit below `limit`, or 0.
int64_t top_bit_below(const uint64_t* w, int64_t limit) {
  if (limit == 0) return 0;
  int64_t k = (limit - 1) / 64;
  uint64_t word = w[k] & (~uint64_t{0} >> (63 - (limit - 1) % 64));
  while (word == 0 && k > 0) word = w[--k];
  return word == 0 ? 0 : 64 * k + 64 - __builtin_clzll(word);
}

// Aligns any x to one y, prepared once.
class Aligner {
 public:
  Aligner(const Relation& match, int32_t n_symbols)
      : match_(match), reference_(!isa::active().kernels), masks_(reference_ ? 0 : n_symbols) {}

  void prepare(const int32_t* y, int64_t m) {
    y_ = y;
    m_ = m;
    if (!reference_) masks_.assign(y, m, match_, Side::kB);
  }

  void align(const int32_t* x, int64_t n, int32_t* out, int64_t stride, WorkQueue::Worker& worker) {
    if (reference_) return reference_align(x, n, y_, m_, match_, out, stride, [&] { worker.check(); });
    const int64_t words = masks_.words();
    history_.assign(static_cast<size_t>((n + 1) * words), 0);
    for (int64_t i = 0; i < n; ++i) {
      if (i % 4096 == 0) worker.check();
      const uint64_t* before = history_.data() + i * words;
      uint64_t* after = history_.data() + (i + 1) * words;
      std::copy(before, before + words, after);
      bitparallel_step(after, masks_.row(x[i]), words);
    }
    int64_t top = top_bit_below(history_.data() + n * words, m_);
    for (int64_t i = n; i > 0; --i) {
      const uint64_t* before = history_.data() + (i - 1) * words;
      const bool needed = top > 0 && !(before[(top - 1) / 64] >> ((top - 1) % 64) & 1);
      out[(i - 1) * stride] = needed ? static_cast<int32_t>(top) : 0;
      if (needed) top = top_bit_below(before, top - 1);
    }
  }

 private:
  const Relation& match_;
  bool reference_;
  PatternMasks masks_;
  const int32_t* y_ = nullptr;
  int64_t m_ = 0;
  std::vector<uint64_t> history_;
};

}  // namespace

void group_align(const Sequences& a, const Sequences& b, const Groups& a_groups, const Groups& b_groups,
                 const Relation& match, int32_t* out, const int64_t* block_offsets, const RunOptions& run) {
  const DenseSymbols dense(a, b, match);
  const Sequences x = dense.a(), y = dense.b();
  double work_ns = 0;
  for (int64_t g = 0; g < a_groups.count; ++g) {
    const double steps = static_cast<double>(x.offsets[a_groups.offsets[g + 1]] - x.offsets[a_groups.offsets[g]]);
    const double items = static_cast<double>(y.offsets[b_groups.offsets[g + 1]] - y.offsets[b_groups.offsets[g]]);
    work_ns += kNanosecondsPerWord * steps * (static_cast<double>(b_groups.size(g)) + items / 64);
  }
  WorkQueue(run).for_each(
      a_groups.count, work_ns, [&] { return Aligner(match, dense.n_symbols()); },
      [&](int64_t g, WorkQueue::Worker& worker, Aligner& aligner) {
        const int64_t width = b_groups.size(g);
        const int64_t first_step = x.offsets[a_groups.offsets[g]];
        for (int64_t j = 0; j < width; ++j) {
          const int64_t recipe = b_groups.offsets[g] + j;
          aligner.prepare(y.begin(recipe), y.length(recipe));
          for (int64_t i = a_groups.offsets[g]; i < a_groups.offsets[g + 1]; ++i) {
            int32_t* rows = out + block_offsets[g] + (x.offsets[i] - first_step) * width;
            aligner.align(x.begin(i), x.length(i), rows + j, width, worker);
          }
        }
      });
}

}  // namespace progrm_fast::lcs
