#include "lcs/consensus.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "lcs/match_masks.h"

namespace progrm_fast::lcs {
namespace {

constexpr int64_t kWordBits = 64;

struct Column {
  int32_t symbol;
  int64_t weight;
};

// Aligns one member at a time with a list of columns: the bit-parallel rows are kept, then walked back.
class ColumnAligner {
 public:
  explicit ColumnAligner(const Relation& match) : match_(match) {}

  // column_of[i] = index of the column that step i matches, or -1.
  void align(const int32_t* steps, int64_t n_steps, const std::vector<Column>& columns,
             std::vector<int64_t>* column_of) {
    column_of->assign(static_cast<size_t>(n_steps), -1);
    int64_t limit = static_cast<int64_t>(columns.size());
    n_words_ = (limit + kWordBits - 1) / kWordBits;
    if (limit == 0 || n_steps == 0) return;
    build_masks(columns);
    // A clear bit j in row i says that the LCS of the first i steps grows from column j - 1 to column j.
    rows_.assign(static_cast<size_t>((n_steps + 1) * n_words_), ~uint64_t{0});
    for (int64_t i = 0; i < n_steps; ++i) advance(row(i), row(i + 1), steps[i]);

    for (int64_t i = n_steps; i > 0; --i) {
      // Trailing columns that the optimum does without are dropped first, then trailing steps.
      const int64_t top = highest_clear(row(i), limit);
      if (top < 0) break;
      limit = top + 1;
      const bool grew_before = (row(i - 1)[top / kWordBits] >> (top % kWordBits) & 1) == 0;
      if (grew_before) continue;
      (*column_of)[static_cast<size_t>(i - 1)] = top;
      limit = top;
      if (limit == 0) break;
    }
  }

 private:
  uint64_t* row(int64_t i) { return rows_.data() + i * n_words_; }

  void build_masks(const std::vector<Column>& columns) {
    masks_.clear();
    for (size_t j = 0; j < columns.size(); ++j) {
      for_each_match(match_, Side::kB, columns[j].symbol, [&](int32_t compatible) { mark(compatible, j); });
    }
  }

  void mark(int32_t symbol, size_t j) {
    std::vector<uint64_t>& mask = masks_[symbol];
    mask.resize(static_cast<size_t>(n_words_), 0);
    mask[j / kWordBits] |= uint64_t{1} << (j % kWordBits);
  }

  // Hyyro's recurrence: V' = (V + (V & M)) | (V & ~M), words joined by the carry.
  void advance(const uint64_t* before, uint64_t* after, int32_t symbol) const {
    const auto found = masks_.find(symbol);
    if (found == masks_.end()) {
      std::copy(before, before + n_words_, after);
      return;
    }
    uint64_t carry = 0;
    for (int64_t w = 0; w < n_words_; ++w) {
      const uint64_t v = before[w];
      const uint64_t u = v & found->second[static_cast<size_t>(w)];
      const uint64_t partial = v + u;
      const uint64_t sum = partial + carry;
      carry = (partial < v) | (sum < partial);
      after[w] = sum | (v & ~u);
    }
  }

  // The highest clear bit below `limit`, or -1.
  static int64_t highest_clear(const uint64_t* row, int64_t limit) {
    for (int64_t w = (limit - 1) / kWordBits; w >= 0; --w) {
      uint64_t clear = ~row[w];
      const int64_t n_bits = limit - w * kWordBits;
      if (n_bits < kWordBits) clear &= (uint64_t{1} << n_bits) - 1;
      if (clear != 0) return w * kWordBits + (kWordBits - 1 - __builtin_clzll(clear));
    }
    return -1;
  }

  const Relation& match_;
  int64_t n_words_ = 0;
  std::unordered_map<int32_t, std::vector<uint64_t>> masks_;
  std::vector<uint64_t> rows_;
};

// A state of the search for a strict common subsequence.
struct Node {
  std::vector<int64_t> next;  // per member, the first position not used yet
  size_t parent;              // index on the level before
};

bool dominates(const Node& a, const Node& b) {
  return std::equal(a.next.begin(), a.next.end(), b.next.begin(), [](int64_t x, int64_t y) { return x <= y; });
}

// The nodes that no other one dominates, sorted by the sum of their positions: only an earlier one can dominate.
// One more than `limit` of them are enough to know that there are too many.
std::vector<Node> undominated(std::vector<Node> nodes, size_t limit, const std::function<void()>& poll) {
  std::vector<std::pair<int64_t, size_t>> order;
  order.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    order.emplace_back(std::accumulate(nodes[i].next.begin(), nodes[i].next.end(), int64_t{0}), i);
  }
  std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    if (nodes[a.second].next != nodes[b.second].next) return nodes[a.second].next < nodes[b.second].next;
    return a.second < b.second;
  });
  std::vector<Node> kept;
  for (const auto& entry : order) {
    if (kept.size() > limit) break;
    poll();
    Node& node = nodes[entry.second];
    if (std::any_of(kept.begin(), kept.end(), [&](const Node& k) { return dominates(k, node); })) continue;
    kept.push_back(std::move(node));
  }
  return kept;
}

// Where the symbols of the members stand, listed per member and symbol on first use.
class Occurrences {
 public:
  Occurrences(const Sequences& members, const Relation& match) : members_(members), match_(match) {}

  // First position >= from in member k whose symbol matches `symbol`, or -1.
  int64_t next(int64_t k, int32_t symbol, int64_t from) {
    const auto [entry, is_new] = positions_.try_emplace({k, symbol});
    std::vector<int64_t>& list = entry->second;
    if (is_new) {
      for (int64_t p = 0; p < members_.length(k); ++p) {
        const int32_t other = members_.begin(k)[p];
        if (match_.is_equality() ? other == symbol : match_.matches(other, symbol)) list.push_back(p);
      }
    }
    const auto at = std::lower_bound(list.begin(), list.end(), from);
    return at == list.end() ? -1 : *at;
  }

 private:
  const Sequences& members_;
  const Relation& match_;
  std::map<std::pair<int64_t, int32_t>, std::vector<int64_t>> positions_;
};

}  // namespace

std::vector<int32_t> profile_consensus(const Sequences& members, const int64_t* weights, const Relation& match,
                                       int64_t min_weight, const std::function<void()>& poll) {
  std::vector<Column> columns;
  std::vector<Column> merged;
  std::vector<int64_t> column_of;
  ColumnAligner aligner(match);
  for (int64_t m = 0; m < members.count; ++m) {
    poll();
    const int32_t* steps = members.begin(m);
    const int64_t n_steps = members.length(m);
    aligner.align(steps, n_steps, columns, &column_of);
    merged.clear();
    size_t next_column = 0;
    int64_t next_step = 0;
    const auto merge_until = [&](size_t column, int64_t step) {
      while (next_column < column) merged.push_back(columns[next_column++]);
      while (next_step < step) merged.push_back({steps[next_step++], weights[m]});
    };
    for (int64_t i = 0; i < n_steps; ++i) {
      const int64_t matched = column_of[static_cast<size_t>(i)];
      if (matched < 0) continue;
      merge_until(static_cast<size_t>(matched), i);
      columns[next_column].weight += weights[m];
      merged.push_back(columns[next_column++]);
      ++next_step;
    }
    merge_until(columns.size(), n_steps);
    columns.swap(merged);
  }
  std::vector<int32_t> kept;
  for (const Column& column : columns) {
    if (column.weight >= min_weight) kept.push_back(column.symbol);
  }
  return kept;
}

StrictConsensus strict_consensus(const Sequences& members, const Relation& match, int64_t max_nodes,
                                 int64_t beam_width, const std::function<void()>& poll) {
  StrictConsensus result;
  if (members.count == 0) return result;
  const size_t n = static_cast<size_t>(members.count);
  Occurrences occurrences(members, match);
  std::unordered_set<int32_t> tried;
  std::vector<std::vector<Node>> levels(1);
  levels[0].push_back({std::vector<int64_t>(n, 0), 0});
  for (;;) {
    const std::vector<Node>& level = levels.back();
    std::vector<Node> candidates;
    for (size_t parent = 0; parent < level.size(); ++parent) {
      poll();
      tried.clear();
      for (int64_t p = level[parent].next[0]; p < members.length(0); ++p) {
        const int32_t symbol = members.begin(0)[p];
        if (!tried.insert(symbol).second) continue;  // the same symbol further on is dominated
        Node node{std::vector<int64_t>(n), parent};
        node.next[0] = p + 1;
        bool everywhere = true;
        for (size_t k = 1; k < n && everywhere; ++k) {
          const int64_t at = occurrences.next(static_cast<int64_t>(k), symbol, level[parent].next[k]);
          everywhere = at >= 0;
          node.next[k] = at + 1;
        }
        if (everywhere) candidates.push_back(std::move(node));
      }
    }
    if (candidates.empty()) break;
    std::vector<Node> kept = undominated(std::move(candidates), static_cast<size_t>(max_nodes), poll);
    if (kept.size() > static_cast<size_t>(max_nodes)) {
      kept.resize(static_cast<size_t>(beam_width));
      result.exact = false;
    }
    levels.push_back(std::move(kept));
  }
  // Every node of the last level ends a longest one; parents lead back from the earliest.
  const std::vector<Node>& last = levels.back();
  size_t at = static_cast<size_t>(
      std::min_element(last.begin(), last.end(), [](const Node& a, const Node& b) { return a.next < b.next; }) -
      last.begin());
  for (size_t level = levels.size() - 1; level > 0; --level) {
    const Node& node = levels[level][at];
    result.symbols.push_back(members.begin(0)[node.next[0] - 1]);
    at = node.parent;
  }
  std::reverse(result.symbols.begin(), result.symbols.end());
  return result;
}

}  // namespace progrm_fast::lcs
