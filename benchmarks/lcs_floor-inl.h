// The recurrence on registers, eight vectors at a time; included per instruction set.

namespace progrm_fast::isa::PROGRM_FAST_ISA {
namespace {

void one_word() {
  Lanes<64> w[8] = {}, m = {};
  for (int i = 0; i < kSteps; ++i) {
    for (int k = 0; k < 8; ++k) {
      keep_in_register(m);  // so that nothing of the step can be moved out of the loop
      w[k] = step<64>(w[k], m);
    }
  }
  std::memcpy(sink, w, sizeof w);
}

void many_words() {
  Lanes<64> w[8] = {}, m = {};
  for (int i = 0; i < kSteps; ++i) {
    Lanes<64> borrow = {};
    for (int k = 0; k < 8; ++k) {
      keep_in_register(m);
      const Lanes<64> d = w[k] - (m & ~w[k]) + borrow;
      borrow = sign(d);
      w[k] = and_with_either<64>(d, w[k], m);
    }
  }
  std::memcpy(sink, w, sizeof w);
}

}  // namespace
}  // namespace progrm_fast::isa::PROGRM_FAST_ISA
