// Opens the AVX-512 target region (Ice Lake, Zen 4 and later). Include every other header before it.
#if defined(__clang__)
#pragma clang attribute push(                                                                                    \
    __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512bitalg," \
                          "avx512vpopcntdq"))),                                                                  \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512bitalg,avx512vpopcntdq")
#endif
