// Alignments against the reference: the same steps, not just as many.
#include "lcs_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace lcs = progrm_fast::lcs;
  lcs_fuzz::Reader reader(data, size);
  const int32_t alphabet = lcs_fuzz::read_alphabet(reader);
  const lcs_fuzz::Batch a = lcs_fuzz::read_batch(reader, alphabet, 700),
                        b = lcs_fuzz::read_batch(reader, alphabet, 400);
  const lcs::Relation match = lcs_fuzz::read_relation(reader, alphabet, false);
  lcs::RunOptions run;
  run.workers = 1 + static_cast<int>(reader.below(3));

  // Two groups, split where the input says.
  const int64_t a_split = reader.below(static_cast<uint32_t>(a.count()) + 1);
  const int64_t b_split = reader.below(static_cast<uint32_t>(b.count()) + 1);
  const int64_t a_groups[] = {0, a_split, a.count()}, b_groups[] = {0, b_split, b.count()};
  const int64_t first = a.offsets[static_cast<size_t>(a_split)] * b_split;
  const int64_t second = (a.offsets.back() - a.offsets[static_cast<size_t>(a_split)]) * (b.count() - b_split);
  const int64_t blocks[] = {0, first, first + second};
  lcs_fuzz::compare_variants([&] {
    std::vector<int32_t> out(static_cast<size_t>(first + second), -1);
    lcs::group_align(a.view(), b.view(), {a_groups, 2}, {b_groups, 2}, match, out.data(), blocks, run);
    return out;
  });
  return 0;
}
