// A word as two numbers of 16 bits or four of 8: __vadd2, __vadd4 and their like.
#pragma once

#include <cstdint>
#include <type_traits>

namespace emulator {

template <typename Lane, typename Function>
inline unsigned each_lane(unsigned a, unsigned b, Function function) {
    constexpr int BITS = 8 * sizeof(Lane);
    unsigned result = 0;
    for (int shift = 0; shift < 32; shift += BITS) {
        const int x = static_cast<Lane>(a >> shift), y = static_cast<Lane>(b >> shift);
        const unsigned of_lane = static_cast<unsigned>(function(x, y)) & (~0u >> (32 - BITS));
        result |= of_lane << shift;
    }
    return result;
}

template <typename Lane, typename Function>
inline unsigned sum_of_lanes(unsigned a, unsigned b, Function function) {
    unsigned sum = 0;
    each_lane<Lane>(a, b, [&](int x, int y) { return sum += static_cast<unsigned>(function(x, y)); });
    return sum;
}

// The nearest number that a lane can hold.
template <typename Lane>
inline int lane_limited(int x) {
    constexpr int BITS = 8 * sizeof(Lane) - std::is_signed_v<Lane>;
    constexpr int most = (1 << BITS) - 1, least = std::is_signed_v<Lane> ? -most - 1 : 0;
    return x > most ? most : x < least ? least : x;
}

}  // namespace emulator

// Of x and y, lanes of a and b, as int; `Lane` is the type of the lanes.
#define EMULATOR_SIMD(name, of_lanes, Type, parameters, b, result)                          \
    inline unsigned name parameters {                                                       \
        using Lane = Type;                                                                  \
        return emulator::of_lanes<Lane>(a, b, []([[maybe_unused]] int x,                    \
                                                 [[maybe_unused]] int y) {                  \
            return static_cast<int>(result);                                                \
        });                                                                                 \
    }
#define EMULATOR_SIMD_ONE(name, sign, result)                                               \
    EMULATOR_SIMD(name##2, each_lane, sign##16_t, (unsigned a), 0u, result)                 \
    EMULATOR_SIMD(name##4, each_lane, sign##8_t, (unsigned a), 0u, result)
#define EMULATOR_SIMD_TWO(name, sign, result)                                               \
    EMULATOR_SIMD(name##2, each_lane, sign##16_t, (unsigned a, unsigned b), b, result)      \
    EMULATOR_SIMD(name##4, each_lane, sign##8_t, (unsigned a, unsigned b), b, result)
#define EMULATOR_SIMD_SUM(name, sign, result)                                               \
    EMULATOR_SIMD(name##2, sum_of_lanes, sign##16_t, (unsigned a, unsigned b), b, result)   \
    EMULATOR_SIMD(name##4, sum_of_lanes, sign##8_t, (unsigned a, unsigned b), b, result)

EMULATOR_SIMD_ONE(__vabs, int, x < 0 ? -x : x)
EMULATOR_SIMD_ONE(__vabsss, int, emulator::lane_limited<Lane>(x < 0 ? -x : x))
EMULATOR_SIMD_ONE(__vneg, int, -x)
EMULATOR_SIMD_ONE(__vnegss, int, emulator::lane_limited<Lane>(-x))
EMULATOR_SIMD_TWO(__vadd, uint, x + y)
EMULATOR_SIMD_TWO(__vaddss, int, emulator::lane_limited<Lane>(x + y))
EMULATOR_SIMD_TWO(__vaddus, uint, emulator::lane_limited<Lane>(x + y))
EMULATOR_SIMD_TWO(__vsub, uint, x - y)
EMULATOR_SIMD_TWO(__vsubss, int, emulator::lane_limited<Lane>(x - y))
EMULATOR_SIMD_TWO(__vsubus, uint, emulator::lane_limited<Lane>(x - y))
EMULATOR_SIMD_TWO(__vabsdiffs, int, x < y ? y - x : x - y)
EMULATOR_SIMD_TWO(__vabsdiffu, uint, x < y ? y - x : x - y)
EMULATOR_SIMD_TWO(__vavgu, uint, (x + y + 1) / 2)
EMULATOR_SIMD_TWO(__vhaddu, uint, (x + y) / 2)
EMULATOR_SIMD_TWO(__vmaxs, int, x < y ? y : x)
EMULATOR_SIMD_TWO(__vmaxu, uint, x < y ? y : x)
EMULATOR_SIMD_TWO(__vmins, int, y < x ? y : x)
EMULATOR_SIMD_TWO(__vminu, uint, y < x ? y : x)
EMULATOR_SIMD_SUM(__vsads, int, x < y ? y - x : x - y)
EMULATOR_SIMD_SUM(__vsadu, uint, x < y ? y - x : x - y)

// Comparisons give all bits of a lane, or 1.
#define EMULATOR_SIMD_COMPARED(name, sign, operation)                  \
    EMULATOR_SIMD_TWO(__vcmp##name, sign, x operation y ? -1 : 0)      \
    EMULATOR_SIMD_TWO(__vset##name, sign, x operation y)
EMULATOR_SIMD_COMPARED(eq, uint, ==)
EMULATOR_SIMD_COMPARED(ne, uint, !=)
EMULATOR_SIMD_COMPARED(ges, int, >=)
EMULATOR_SIMD_COMPARED(geu, uint, >=)
EMULATOR_SIMD_COMPARED(gts, int, >)
EMULATOR_SIMD_COMPARED(gtu, uint, >)
EMULATOR_SIMD_COMPARED(les, int, <=)
EMULATOR_SIMD_COMPARED(leu, uint, <=)
EMULATOR_SIMD_COMPARED(lts, int, <)
EMULATOR_SIMD_COMPARED(ltu, uint, <)
#undef EMULATOR_SIMD_COMPARED
#undef EMULATOR_SIMD_SUM
#undef EMULATOR_SIMD_TWO
#undef EMULATOR_SIMD_ONE
#undef EMULATOR_SIMD
