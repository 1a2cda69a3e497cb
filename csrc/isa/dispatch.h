// The one table of the core's implementations: list, detect, choose, force by name.
#pragma once

#include <cstdint>
#include <string>

#include "isa/kernels.h"

namespace progrm_fast::isa {

struct Variant {
  const char* name;
  bool (*runs_here)();  // does this machine have the instructions?
  bool automatic;       // may be chosen without being asked for; the order of the table is the order of preference
  const Kernels* kernels;  // null for the reference, which has none
};

// All compiled variants, the most preferred first.
const Variant* variants();
int variant_count();

// The variant in use: the forced one, else the one PROGRM_FAST_ISA names, else the first automatic one that runs
// here. Throws std::invalid_argument when the environment names one that does not exist or does not run here.
const Variant& active();

// Forces a variant by name for the whole process; "auto" goes back to the automatic choice. Throws
// std::invalid_argument for an unknown name or one that does not run here.
void force(const std::string& name);

// Proof of what ran: counts a lane group against the variant that bears the name of its code.
void count_lane_group(const Kernels& kernels);
int64_t lane_groups_run(const std::string& name);

}  // namespace progrm_fast::isa
