// How tensor cores add up the products of a tile.
//
// The problem: they do not round each sum to nearest, and long sums of data of one sign come out
// several times less accurate than rounding to nearest would suggest. What NVIDIA does not document
// others have measured:
//
// - M. Fasi, N. J. Higham, M. Mikaitis, S. Pranesh, "Numerical behavior of NVIDIA tensor cores",
//   PeerJ Computer Science 7:e330, 2021 (V100, T4, A100): products are exact, sums start at the
//   largest term and are truncated, partial sums are not normalised, subnormal numbers count.
// - X. Li and others, "FTTN: feature-targeted testing for numerical properties of NVIDIA & AMD matrix
//   accelerators", arXiv:2403.00232, 2024: an H100 gives other sums than an A100.
// - F. A. Khattak, M. Mikaitis, "Accurate models of NVIDIA tensor cores", arXiv:2512.07004, 2025
//   (V100, A100, Ada, H100, B200), and P. Xie and others, "MMA-Sim: bit-accurate reference model of
//   tensor cores and matrix cores", arXiv:2511.10909, 2025 (Volta to Blackwell): independent models,
//   each compared with GPUs to the bit, which agree on what is below; the least exponents of 7.x and
//   8.x were only found in a description of the second.
//
// The model: of each element of D, `products` products are added to the accumulator at once, then the
// next ones. A term is a significand times a power of two, with an exponent: of the accumulator its
// own; of a product the sum of its factors' exponents, so that its significand is in [1, 4); of a
// subnormal number its format's least, so that the significand is below 1. All terms are aligned to
// the largest exponent, which is `least_exponent` at least, and cut off (towards zero) after
// `fraction_bits` bits; FP32 has 23 of these. Their sum is exact, and is cut off to FP32, in which
// 2¹²⁸ and more is infinite. If a term is NaN, or there are infinite ones of both signs, the result is
// the NaN 0x7fffffff. A product of finite factors is finite, however large.
//
//     compute capability   7.0    7.5    8.x    9.0 and later
//     fraction bits         23     24     24     25
//     products, 16 bits      4      8      8     16
//     products, TF32                      4      8
//     least exponent      −131   −132   −132   −133
//
// The numbers are those of gpucnn/emulator/tensor_core.py; this file is given them with the launch.
// The sources do not tell zeros apart: here a sum that is zero is +0, and one that is cut off to zero
// keeps its sign.
//
// Why integers: with 25 fraction bits, a product of two significands of 11 bits, aligned, is below
// 2²⁷, and 16 of these and the accumulator are below 2³². Loops go over the columns, so that the
// compiler makes vectors of them.
#pragma once

#include <cstdint>

#include "interface.h"
#include "scalar_functions.h"

namespace emulator {

constexpr int TILE_ROWS = 16, TILE_COLUMNS = 8;

// D += A·B.
template <int INNER>
struct Tiles {
    float a[TILE_ROWS][INNER];
    float b[INNER][TILE_COLUMNS];
    float d[TILE_ROWS][TILE_COLUMNS];
};

// A number is significand · 2^(exponent − bits). Zero has an exponent that is never the largest, and so
// have infinities and NaN, which are dealt with elsewhere.
struct Number {
    int significand;
    int exponent;
};
constexpr int NO_EXPONENT = -10000;
// Of the significands of operands and of FP32, behind the point.
constexpr int OPERAND_BITS = 10, FLOAT_BITS = 23;

// `least_exponent` is that of the number's format, which has at most `bits` bits behind the point.
EMULATOR_UNCHECKED inline Number taken_apart(float x, int bits, int least_exponent) {
    const auto of_x = bit_cast<unsigned>(x);
    const int field = static_cast<int>(of_x >> 23 & 0xffu);
    const unsigned fraction = of_x & 0x7fffffu;
    if (field == 0xff || (of_x & 0x7fffffffu) == 0) {
        return {0, NO_EXPONENT};
    }
    const int exponent = field == 0 ? -126 : field - 127;
    const int below = exponent < least_exponent ? least_exponent - exponent : 0;
    const auto significand =
        static_cast<int>((field == 0 ? fraction : fraction | 0x800000u) >> (23 - bits + below));
    return {of_x >> 31 != 0 ? -significand : significand, exponent + below};
}

EMULATOR_UNCHECKED inline bool is_finite(float x) {
    return (bit_cast<unsigned>(x) & 0x7f800000u) != 0x7f800000u;
}

// All operands, taken apart.
template <int INNER>
struct Operands {
    int a[TILE_ROWS][INNER], a_exponent[TILE_ROWS][INNER];
    int b[INNER][TILE_COLUMNS], b_exponent[INNER][TILE_COLUMNS];
    bool finite;
};

template <typename Format>
EMULATOR_UNCHECKED void take_apart(
    const Tiles<Format::INNER>& tiles, Operands<Format::INNER>& operands) {
    operands.finite = true;
    for (int k = 0; k < Format::INNER; ++k) {
        for (int row = 0; row < TILE_ROWS; ++row) {
            const float a = tiles.a[row][k];
            const Number number = taken_apart(a, OPERAND_BITS, Format::LEAST_EXPONENT);
            operands.a[row][k] = number.significand;
            operands.a_exponent[row][k] = number.exponent;
            operands.finite = operands.finite && is_finite(a);
        }
        for (int column = 0; column < TILE_COLUMNS; ++column) {
            const float b = tiles.b[k][column];
            const Number number = taken_apart(b, OPERAND_BITS, Format::LEAST_EXPONENT);
            operands.b[k][column] = number.significand;
            operands.b_exponent[k][column] = number.exponent;
            operands.finite = operands.finite && is_finite(b);
        }
    }
}

// A significand with some more bits, and then with its last ones cut off.
EMULATOR_UNCHECKED inline int cut_off(int significand, int bits_to_add, int shift) {
    const auto magnitude = static_cast<unsigned>(significand < 0 ? -significand : significand);
    const auto kept = static_cast<int>(magnitude << bits_to_add >> (shift < 31 ? shift : 31));
    return significand < 0 ? -kept : kept;
}

// sum · 2^exponent in FP32, cut off.
EMULATOR_UNCHECKED inline float to_float(int64_t sum, int exponent) {
    if (sum == 0) {
        return 0.0f;
    }
    const auto magnitude = static_cast<uint64_t>(sum < 0 ? -sum : sum);
    const int to_24_bits = 40 - __builtin_clzll(magnitude), to_subnormal = -149 - exponent;
    const int least = to_24_bits > to_subnormal ? to_24_bits : to_subnormal;
    const int cut = least < 0 ? 0 : least < 63 ? least : 63;
    // Two factors that are exact in double, and so is their product.
    const auto scale = bit_cast<double>(static_cast<uint64_t>(1023 + exponent + cut) << 52);
    const auto result = static_cast<float>(static_cast<double>(magnitude >> cut) * scale);
    return sum < 0 ? -result : result;
}

// d[column] += the products from `first` to `end` of a row of A and the columns of B; all are finite.
template <int INNER>
EMULATOR_UNCHECKED void add_products(
    const Operands<INNER>& operands, int row, int first, int end, const TensorCore& core,
    float (&d)[TILE_COLUMNS]) {
    const int fraction_bits = static_cast<int>(core.fraction_bits);
    Number accumulator[TILE_COLUMNS];
    int largest[TILE_COLUMNS];
    for (int column = 0; column < TILE_COLUMNS; ++column) {
        accumulator[column] = taken_apart(d[column], FLOAT_BITS, -126);
        const int exponent = accumulator[column].exponent;
        largest[column] = exponent > core.least_exponent ? exponent : core.least_exponent;
    }
    for (int k = first; k < end; ++k) {
        for (int column = 0; column < TILE_COLUMNS; ++column) {
            const int exponent = operands.a_exponent[row][k] + operands.b_exponent[k][column];
            largest[column] = exponent > largest[column] ? exponent : largest[column];
        }
    }
    int64_t sum[TILE_COLUMNS];
    for (int column = 0; column < TILE_COLUMNS; ++column) {
        const Number& number = accumulator[column];
        sum[column] = cut_off(
            number.significand, fraction_bits - FLOAT_BITS, largest[column] - number.exponent);
    }
    for (int k = first; k < end; ++k) {
        for (int column = 0; column < TILE_COLUMNS; ++column) {
            const int exponent = operands.a_exponent[row][k] + operands.b_exponent[k][column];
            sum[column] += cut_off(operands.a[row][k] * operands.b[k][column],
                                   fraction_bits - 2 * OPERAND_BITS, largest[column] - exponent);
        }
    }
    for (int column = 0; column < TILE_COLUMNS; ++column) {
        d[column] = to_float(sum[column], largest[column] - fraction_bits);
    }
}

// Infinite or NaN as d becomes if a term is; finite if none is, since no product of finite operands
// overflows in double.
template <int INNER>
EMULATOR_UNCHECKED double sum_of_terms(
    const Tiles<INNER>& tiles, int row, int column, int first, int end) {
    double sum = tiles.d[row][column];
    for (int k = first; k < end; ++k) {
        sum += static_cast<double>(tiles.a[row][k]) * static_cast<double>(tiles.b[k][column]);
    }
    return sum;
}

template <int INNER>
EMULATOR_UNCHECKED void add_products_or_infinities(
    Tiles<INNER>& tiles, const Operands<INNER>& operands, int row, int first, int end,
    const TensorCore& core) {
    float finite[TILE_COLUMNS];
    for (int column = 0; column < TILE_COLUMNS; ++column) {
        finite[column] = tiles.d[row][column];
    }
    add_products(operands, row, first, end, core, finite);
    for (int column = 0; column < TILE_COLUMNS; ++column) {
        const double sum = sum_of_terms(tiles, row, column, first, end);
        const bool is_infinite = sum == sum && sum - sum != 0.0;
        tiles.d[row][column] = is_infinite ? static_cast<float>(sum)
                               : sum == sum ? finite[column] : bit_cast<float>(0x7fffffffu);
    }
}

template <int INNER>
EMULATOR_UNCHECKED void accumulate_to_nearest(Tiles<INNER>& tiles) {
    for (int row = 0; row < TILE_ROWS; ++row) {
        for (int k = 0; k < INNER; ++k) {
            for (int column = 0; column < TILE_COLUMNS; ++column) {
                tiles.d[row][column] += tiles.a[row][k] * tiles.b[k][column];
            }
        }
    }
}

// D += A·B, as the launch's tensor cores do it.
template <typename Format>
EMULATOR_UNCHECKED void accumulate(Tiles<Format::INNER>& tiles) {
    const TensorCore& core = tensor_core();
    if (core.fraction_bits == 0) {
        accumulate_to_nearest(tiles);
        return;
    }
    const int at_once = static_cast<int>(core.products) * 2 / Format::BYTES;
    Operands<Format::INNER> operands;
    take_apart<Format>(tiles, operands);
    for (int row = 0; row < TILE_ROWS; ++row) {
        for (int k = 0; k < Format::INNER; k += at_once) {
            bool finite = operands.finite;
            for (int column = 0; column < TILE_COLUMNS; ++column) {
                finite = finite && is_finite(tiles.d[row][column]);
            }
            if (finite) {
                add_products(operands, row, k, k + at_once, core, tiles.d[row]);
            } else {
                add_products_or_infinities(tiles, operands, row, k, k + at_once, core);
            }
        }
    }
}

}  // namespace emulator
