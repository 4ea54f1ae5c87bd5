// Mathematics

// feature: `sinf`, `expf`, `logf`, `powf`, `sqrtf`, `tanhf`, `erff`, `fmaf` and the others of C
// expected: 1
__device__ bool near(double x, double y) { return fabs(x - y) < 1e-6; }
KERNEL {
    const int i = INDEX;
    const float x = 0.5f;
    y[i] = near(sinf(x), 0.47942554f) && near(expf(x), 1.6487213f) && near(logf(x), -0.6931472f) &&
           near(powf(x, 3), 0.125f) && near(sqrtf(x), 0.70710678f) && near(tanhf(x), 0.46211716f) &&
           near(erff(x), 0.5204999f) && fmaf(x, 2, 1) == 2 && near(atan2f(1, 2), 0.4636476f) &&
           fmodf(7, 4) == 3 && near(cbrtf(27), 3);
}

// feature: the same in double, and by names without `f`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = fabs(sin(0.5) - 0.479425538604203) < 1e-14 && sizeof(sin(0.5f)) == 4 &&
           fabs(lgamma(0.5) - 0.5723649429247001) < 1e-14 && max(1.5, 2.5) == 2.5;
}

// feature: `rsqrt`, `rcbrt`, `exp10`, `sinpi`, `sincos`, `normcdf`, `norm3d`, `rhypot`
// expected: 1
KERNEL {
    const int i = INDEX;
    float s, c;
    sincosf(0.5f, &s, &c);
    y[i] = rsqrtf(4) == 0.5f && fabsf(exp10f(2) - 100) < 1e-4f && sinpif(0.5f) == 1 &&
           fabsf(s * s + c * c - 1) < 1e-6f && normcdff(0) == 0.5f &&
           fabsf(norm3df(1, 2, 2) - 3) < 1e-6f && fabsf(rhypotf(3, 4) - 0.2f) < 1e-6f &&
           fabsf(rcbrtf(8) - 0.5f) < 1e-6f;
}

// feature: fast versions, `__expf`, `__sinf`, `__fdividef`, `__saturatef`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = fabsf(__expf(0.5f) - 1.6487213f) < 1e-5f && fabsf(__sinf(0.5f) - 0.47942554f) < 1e-5f &&
           __fdividef(1, 4) == 0.25f && __saturatef(1.5f) == 1;
}

// feature: `min`, `max`, `abs` of integers; `isnan`, `isinf`, `signbit`, `NAN`, `INFINITY`
// expected: min(i, 5) + 4 + 2 + 3
KERNEL {
    const int i = INDEX;
    y[i] = min(i, 5) + max(3u, 4u) + abs(-2) + isnan(NAN) + isinf(-INFINITY) + signbit(-1.0f);
}

// feature: `<math_constants.h>`
// expected: 1
#include <math_constants.h>
KERNEL {
    const int i = INDEX;
    y[i] = isinf(CUDART_INF_F) && isnan(CUDART_NAN_F) && CUDART_PI_F > 3;
}

// feature: arithmetic in the rounding `rn`: `__fmaf_rn`, `__fadd_rn`, `__dmul_rn`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = __fadd_rn(1, 2) == 3 && __fmaf_rn(2, 3, 4) == 10 && __dmul_rn(2, 4) == 8 &&
           __frcp_rn(4) == 0.25f && __fsqrt_rn(9) == 3 && __fdiv_rn(1, 2) == 0.5f;
}

// feature: … in other roundings: `__fadd_rz` and its like
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] =
        __fadd_ru(1, 1e-20f) > 1 && __fadd_rz(1, 1e-20f) == 1 && __ddiv_rd(1, 3) < __ddiv_ru(1, 3);
}

// feature: `erfinvf`, `erfcinvf`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = erfinvf(0) == 0 && fabsf(erfinvf(0.5f) - 0.4769363f) < 1e-6f && erfcinvf(1) == 0;
}

// feature: Bessel functions `cyl_bessel_i0f`
// expected: 1
KERNEL {
    const int i = INDEX;
    y[i] = fabsf(cyl_bessel_i0f(1) - 1.2660659f) < 1e-5f;
}
