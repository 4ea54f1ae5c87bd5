// Intrinsics, output, time

// feature: bits: `__popc`, `__clz`, `__ffs`, `__brev`, and `…ll`
// expected: 8 + 31 + 4 + 1 + 2
KERNEL {
    const int i = INDEX;
    y[i] = __popc(0xff) + __clz(1) + __ffs(8) + (__brev(1) == 0x80000000u) + __popcll(3ull << 40);
}

// feature: `__byte_perm`, `__funnelshift_l`, `__funnelshift_r`
// expected: 7 + 1 + 2
KERNEL {
    const int i = INDEX;
    y[i] = __byte_perm(0x03020100, 0x07060504, 0x0007) + __funnelshift_l(1u << 31, 0, 1) +
           __funnelshift_r(0, 1, 1) / (1 << 30);
}

// feature: `__mulhi`, `__umulhi`, `__mul24`, `__sad`, `__rhadd`, `__dp4a`
// expected: 4 + 2 + 12 + 5 + 4 + 15
KERNEL {
    const int i = INDEX;
    y[i] = __mulhi(1 << 20, 1 << 14) + __umulhi(1u << 31, 4) + __mul24(3, 4) + __sad(1, 4, 2) +
           __rhadd(3, 4) + __dp4a(0x01010101, 0x04030201, 5);
}

// feature: conversions: `__float2int_rd`, `__double2ll_rz`, `__int2float_rn`, `__float_as_int`
// expected: -1 + 2 + 3 + 1 + 1 + 5
KERNEL {
    const int i = INDEX;
    y[i] = __float2int_rd(-0.5f) + __float2int_ru(1.5f) + int(__double2ll_rz(3.9)) +
           (__float_as_int(1) == 0x3f800000) + (__int_as_float(0x40000000) == 2) +
           int(__int2float_rn(5));
}

// feature: loads and stores by caches: `__ldg`, `__ldcs`, `__stcs`
// expected: 2 * i
// note: plain loads and stores
KERNEL {
    const int i = INDEX;
    __stcs(y + i, i);
    y[i] = __ldg(y + i) + __ldcs(y + i);
}

// feature: SIMD on words: `__vadd4`, `__vmaxs2`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = __vadd4(0x01ff01ff, 0x01010101) == 0x02000200 &&
           __vmaxs2(0x0001ffff, 0x00000002) == 0x00010002;
}

// feature: dynamic programming: `__vimax3_s32` and its like
// missing: __vimax3_s32
KERNEL { y[INDEX] = __vimax3_s32(1, 2, 3); }

// feature: `__fns`
// expected: 5
KERNEL { y[INDEX] = __fns(0xf0u, 0, 2); }

// feature: `clock`, `clock64`, `__nanosleep`
// expected: 1
// note: in nanoseconds; `__nanosleep` does not wait
KERNEL {
    const int i = INDEX;
    const long long begin = clock64();
    __nanosleep(100);
    y[i] = clock64() >= begin && clock() != 0;
}

// feature: `__builtin_assume`
// expected: i
// note: checked
KERNEL {
    const int i = INDEX;
    __builtin_assume(i >= 0);
    y[i] = i;
}

// feature: `printf`
// expected: 1
// note: to stderr, at once
KERNEL {
    const int i = INDEX;
    if (i < 0) printf("%d\n", i);
    y[i] = 1;
}

// feature: `assert`
// expected: 1
// note: an error that names the thread
KERNEL {
    const int i = INDEX;
    assert(i >= 0);
    y[i] = 1;
}

// feature: `__trap`
// expected: 1
// note: an error that names the thread
KERNEL {
    const int i = INDEX;
    if (i < 0) __trap();
    y[i] = 1;
}
