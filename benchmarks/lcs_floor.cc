// What the recurrence alone costs on this machine: its vector instructions on registers, without a table, a target
// or a result. Prints, per instruction set, nanoseconds per vector step (one word) and per vector of a word (many
// words), and how much faster two threads do the same.
#include <cstdint>
#include <cstring>
#include <ctime>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "isa/dispatch.h"
#include "isa/kernels.h"

#define PROGRM_FAST_INLINE inline __attribute__((always_inline))
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace {
constexpr int kSteps = 100000;
thread_local uint8_t sink[8 * 64];  // keeps the results, and with them the loops, alive
}  // namespace

// clang-format off: the order of these is what they are for
#if defined(__x86_64__)
#define PROGRM_FAST_ISA avx512
#include "isa/begin_avx512.h"
#include "isa/simd_avx512-inl.h"
#include "lcs_floor-inl.h"
#include "isa/end_avx512.h"
#undef PROGRM_FAST_ISA
#define PROGRM_FAST_ISA avx2
#include "isa/begin_avx2.h"
#include "isa/simd_avx2-inl.h"
#include "lcs_floor-inl.h"
#include "isa/end_avx2.h"
#undef PROGRM_FAST_ISA
#elif defined(__aarch64__)
#define PROGRM_FAST_ISA neon
#include "isa/simd_neon-inl.h"
#include "lcs_floor-inl.h"
#undef PROGRM_FAST_ISA
#endif
// clang-format on

namespace {

double cpu_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

double nanoseconds(void (*loop)()) {
  const double start = cpu_nanoseconds();
  loop();
  asm volatile("" : : "r"(sink) : "memory");
  return cpu_nanoseconds() - start;
}

double best(void (*loop)()) {
  double shortest = nanoseconds(loop);
  for (int i = 0; i < 5; ++i) shortest = std::min(shortest, nanoseconds(loop));
  return shortest;
}

double on_two_threads(void (*loop)()) {
  double shortest = 1e300;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::thread other([&] {
      for (int k = 0; k < 20; ++k) loop();
    });
    for (int k = 0; k < 20; ++k) loop();
    other.join();
    shortest = std::min(
        shortest, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / 20);
  }
  return shortest;
}

void report(const char* name, bool runs_here, void (*one_word)(), void (*many_words)(), int vector_bytes) {
  if (!runs_here) return;
  const double one = best(one_word), many = best(many_words);
  std::printf(
      "{\"isa\": \"%s\", \"vector_bytes\": %d, \"one_word_ns\": %.5f, \"many_words_ns\": %.5f, "
      "\"two_threads\": %.2f}\n",
      name, vector_bytes, one / kSteps / 8, many / kSteps / 8, 2 * one / on_two_threads(one_word));
}

bool runs_here(const char* name) {
  for (int v = 0; v < progrm_fast::isa::variant_count(); ++v) {
    if (std::strcmp(progrm_fast::isa::variants()[v].name, name) == 0)
      return progrm_fast::isa::variants()[v].runs_here();
  }
  return false;
}

}  // namespace

int main() {
  namespace isa = progrm_fast::isa;
#if defined(__x86_64__)
  report("avx512", runs_here("avx512"), isa::avx512::one_word, isa::avx512::many_words, isa::avx512::kVectorBytes);
  report("avx2", runs_here("avx2"), isa::avx2::one_word, isa::avx2::many_words, isa::avx2::kVectorBytes);
#elif defined(__aarch64__)
  report("neon", runs_here("neon"), isa::neon::one_word, isa::neon::many_words, isa::neon::kVectorBytes);
#endif
}
