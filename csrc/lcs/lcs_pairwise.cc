// Lengths of many pairs: who is compared with whom, on which thread, and where the result goes.
#include <algorithm>
#include <vector>

#include "isa/dispatch.h"
#include "lcs/lcs.h"
#include "lcs/lcs_bitparallel-inl.h"
#include "lcs/match_masks.h"
#include "lcs/work_queue.h"

namespace progrm_fast::lcs {
namespace {

constexpr double kNanosecondsPerWord = 1.5;  // scalar recurrence; only decides how many threads are worth it

// Compares one sequence of `a`, prepared once, with any sequence of `b`.
class Comparer {
 public:
  Comparer(const Relation& match, int32_t n_symbols)
      : match_(match), reference_(isa::is_reference(isa::active())), masks_(reference_ ? 0 : n_symbols) {}

  void prepare(const int32_t* x, int64_t n) {
    x_ = x;
    n_ = n;
    if (!reference_) masks_.assign(x, n, match_, Side::kA);
  }

  int64_t length(const int32_t* y, int64_t m, WorkQueue::Worker& worker) {
    if (reference_) return reference_length(x_, n_, y, m, match_, [&] { worker.check(); });
    const int64_t words = masks_.words();
    w_.assign(static_cast<size_t>(words), 0);
    for (int64_t j = 0; j < m; ++j) {
      if (j % 4096 == 0) worker.check();
      bitparallel_step(w_.data(), masks_.row(y[j]), words);
    }
    int64_t length = 0;
    for (const uint64_t word : w_) length += __builtin_popcountll(word);
    return length;
  }

 private:
  const Relation& match_;
  bool reference_;
  PatternMasks masks_;
  const int32_t* x_ = nullptr;
  int64_t n_ = 0;
  std::vector<uint64_t> w_;
};

double estimated_ns(const Sequences& a, const Sequences& b) {
  const double words = static_cast<double>(a.offsets[a.count]) / 64 + static_cast<double>(a.count);
  return kNanosecondsPerWord * words * static_cast<double>(b.offsets[b.count]);
}

}  // namespace

template <typename T>
void cross_lengths(const Sequences& a, const Sequences& b, const Relation& match, T* out, const RunOptions& run) {
  const DenseSymbols dense(a, b, match);
  const Sequences x = dense.a(), y = dense.b();
  WorkQueue(run).for_each(
      a.count, estimated_ns(a, b), [&] { return Comparer(match, dense.n_symbols()); },
      [&](int64_t i, WorkQueue::Worker& worker, Comparer& comparer) {
        comparer.prepare(x.begin(i), x.length(i));
        for (int64_t j = 0; j < y.count; ++j) {
          out[i * y.count + j] = static_cast<T>(comparer.length(y.begin(j), y.length(j), worker));
        }
      });
}

template <typename T>
void all_pairs_lengths(const Sequences& a, const Relation& match, T* out, const RunOptions& run) {
  if (!match.is_symmetric()) return cross_lengths(a, a, match, out, run);
  const DenseSymbols dense(a, a, match);
  const Sequences x = dense.a();
  WorkQueue(run).for_each(
      a.count, estimated_ns(a, a) / 2, [&] { return Comparer(match, dense.n_symbols()); },
      [&](int64_t i, WorkQueue::Worker& worker, Comparer& comparer) {
        comparer.prepare(x.begin(i), x.length(i));
        for (int64_t j = i; j < x.count; ++j) {
          const T length = static_cast<T>(comparer.length(x.begin(j), x.length(j), worker));
          out[i * x.count + j] = out[j * x.count + i] = length;
        }
      });
}

template <typename T>
void group_lengths(const Sequences& batch, const Groups& groups, const Relation& match, T* out,
                   const RunOptions& run) {
  const DenseSymbols dense(batch, batch, match);
  const Sequences x = dense.a();
  std::vector<int64_t> starts(static_cast<size_t>(groups.count) + 1, 0);
  double work_ns = 0;
  for (int64_t g = 0; g < groups.count; ++g) {
    const int64_t n = groups.size(g);
    starts[static_cast<size_t>(g) + 1] = starts[static_cast<size_t>(g)] + n * (n - 1) / 2;
    const double steps =
        static_cast<double>(x.offsets[groups.offsets[g + 1]]) - static_cast<double>(x.offsets[groups.offsets[g]]);
    work_ns += kNanosecondsPerWord * (static_cast<double>(n) + steps / 64) * steps / 2;
  }
  WorkQueue(run).for_each(
      groups.count, work_ns, [&] { return Comparer(match, dense.n_symbols()); },
      [&](int64_t g, WorkQueue::Worker& worker, Comparer& comparer) {
        T* next = out + starts[static_cast<size_t>(g)];
        for (int64_t i = groups.offsets[g]; i < groups.offsets[g + 1]; ++i) {
          comparer.prepare(x.begin(i), x.length(i));
          for (int64_t j = i + 1; j < groups.offsets[g + 1]; ++j) {
            *next++ = static_cast<T>(comparer.length(x.begin(j), x.length(j), worker));
          }
        }
      });
}

#define PROGRM_FAST_INSTANTIATE(T)                                                                            \
  template void cross_lengths<T>(const Sequences&, const Sequences&, const Relation&, T*, const RunOptions&); \
  template void all_pairs_lengths<T>(const Sequences&, const Relation&, T*, const RunOptions&);               \
  template void group_lengths<T>(const Sequences&, const Groups&, const Relation&, T*, const RunOptions&);
PROGRM_FAST_INSTANTIATE(uint8_t)
PROGRM_FAST_INSTANTIATE(uint16_t)
PROGRM_FAST_INSTANTIATE(uint32_t)
#undef PROGRM_FAST_INSTANTIATE

}  // namespace progrm_fast::lcs
