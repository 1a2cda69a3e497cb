// Runs a fuzz target on pseudo-random inputs, where there is no libFuzzer: `program COUNT SEED`.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "isa/dispatch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s COUNT SEED\n", argv[0]);
    return 2;
  }
  const long count = std::atol(argv[1]);
  std::mt19937 random(static_cast<uint32_t>(std::atol(argv[2])));
  for (long i = 0; i < count; ++i) {
    std::vector<uint8_t> bytes(random() % 400);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%ld inputs agree under:", count);
  for (int v = 0; v < progrm_fast::isa::variant_count(); ++v) {
    const progrm_fast::isa::Variant& variant = progrm_fast::isa::variants()[v];
    if (variant.runs_here()) std::printf(" %s", variant.name);
  }
  std::printf("\n");
  return 0;
}
