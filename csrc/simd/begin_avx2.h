// Opens a target region: functions defined until end_region.h may use AVX2. No include guard: a file may open
// several. FMA stays off, so that the scans round as the scalar ones do.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
