// Opens a target region: functions defined until end_region.h may use AVX2 and FMA, into which compilers fuse a
// product and the sum it is added to. Results then differ from those without by rounding.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
