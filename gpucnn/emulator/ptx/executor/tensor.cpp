// Tensor cores: mma.sync, and ldmatrix, which lays its operands out over the lanes of a warp.
//
// Which elements a lane holds (PTX ISA, "Matrix fragments"): with g = lane / 4 and t = lane % 4, of D
// and C (16, 8) rows g and g + 8, columns 2t and 2t + 1. Of A (16, K) and B (K, 8) a register holds
// E elements that follow one another along k, E = 1 for TF32 and 2 for types of 16 bits. Register r of
// A is in row g + 8·(r % 2), register r of B in column g; their elements along k begin with
// E·t + 4·E·(r / 2) and E·t + 4·E·r.
//
// How products are added is not documented, but has been found out by experiment (Fasi, Higham,
// Mikaitis and Pranesh, 2021; Khattak and Mikaitis, 2025; Xie and others, 2025): products are exact, a
// few of them and the accumulator are aligned to the largest exponent among them, what lies below the
// last bit kept is cut off, and the sum is cut off to FP32. The exponent of a product is the sum of
// those of its factors, so a product of 1.5 and 1.5 has that of 1.
#include <algorithm>

#include "floats.h"
#include "memory.h"

namespace ptx {
namespace {

constexpr unsigned M = 16, N = 8, LARGEST_K = 16;

// A product of two elements, or an accumulator.
struct Term {
    double value;
    int exponent;
};

// The exponent of a number, 1 <= |x| / 2^exponent < 2; of a subnormal one, its format's least.
int exponent_of(double x, int least) {
    int exponent;
    std::frexp(x, &exponent);
    return std::max(exponent - 1, least);
}

// The sum of exact products and an accumulator, cut off as hardware does.
float cut_off_sum(const Term* terms, unsigned count, float accumulator, int extra_bits) {
    double sum_of_all = accumulator;  // infinite or NaN if the result is
    int largest = -131 - extra_bits;
    if (accumulator != 0) {
        largest = std::max(largest, exponent_of(accumulator, -126));
    }
    for (unsigned k = 0; k < count; ++k) {
        sum_of_all += terms[k].value;
        if (terms[k].value != 0) {
            largest = std::max(largest, terms[k].exponent);
        }
    }
    if (!std::isfinite(sum_of_all)) {
        return canonical(float(sum_of_all));
    }
    const int unit = largest - 23 - extra_bits;
    const auto aligned = [&](double x) { return int64_t(std::ldexp(x, -unit)); };
    int64_t sum = aligned(accumulator);
    for (unsigned k = 0; k < count; ++k) {
        sum += aligned(terms[k].value);
    }
    const double exact = std::ldexp(double(sum), unit);  // of fewer than 53 bits
    volatile double in_range = exact;
    return std::fabs(exact) >= 0x1p128 ? float(exact)
                                       : rounded(TO_ZERO, [&] { return float(in_range); });
}

float nearest_sum(const Term* terms, unsigned count, float accumulator) {
    for (unsigned k = 0; k < count; ++k) {
        accumulator = float(sum_to_odd(terms[k].value, accumulator));
    }
    return canonical(accumulator);
}

struct Tf32 {
    static constexpr unsigned PER_REGISTER = 1;
    static constexpr int LEAST = -126;
    static double element(uint32_t bits, unsigned) {
        return std::bit_cast<float>(bits & ~0x1fffu);
    }
    static unsigned terms(const Accumulation& a) { return a.terms_tf32; }
};

template <class F>
struct Pair {
    static constexpr unsigned PER_REGISTER = 2;
    static constexpr int LEAST = F::LEAST;
    static double element(uint32_t bits, unsigned k) { return F::value(uint16_t(bits >> 16 * k)); }
    static unsigned terms(const Accumulation& a) { return a.terms_16_bit; }
};

struct Matrices {
    double a[M][LARGEST_K], b[LARGEST_K][N];
    float c[M][N];
};

template <class T, unsigned K>
void gather(const Warp& w, const Instruction& i, unsigned first_a, Matrices& m) {
    constexpr unsigned E = T::PER_REGISTER, a_registers = K / (2 * E), b_registers = K / (4 * E);
    for (unsigned lane = 0; lane < LANES; ++lane) {
        const unsigned g = lane / 4, t = lane % 4;
        for (unsigned e = 0; e < E; ++e) {
            for (unsigned r = 0; r < a_registers; ++r) {
                m.a[g + 8 * (r % 2)][E * t + 4 * E * (r / 2) + e] =
                    T::element(w.in<uint32_t>(i, first_a + r)[lane], e);
            }
            for (unsigned r = 0; r < b_registers; ++r) {
                m.b[E * t + 4 * E * r + e][g] =
                    T::element(w.in<uint32_t>(i, first_a + a_registers + r)[lane], e);
            }
        }
    }
}

// The dot product of a row and a column, added to their accumulator.
template <class T, unsigned K>
float dot(const Matrices& m, unsigned row, unsigned column, const Accumulation& accumulation) {
    Term terms[K];
    for (unsigned k = 0; k < K; ++k) {
        const double a = m.a[row][k], b = m.b[k][column];
        terms[k] = {a * b, exponent_of(a, T::LEAST) + exponent_of(b, T::LEAST)};
    }
    float sum = m.c[row][column];
    const unsigned at_once = T::terms(accumulation);
    if (at_once == 0) {
        return nearest_sum(terms, K, sum);
    }
    for (unsigned k = 0; k < K; k += at_once) {
        sum = cut_off_sum(terms + k, std::min(at_once, K - k), sum, int(accumulation.extra_bits));
    }
    return sum;
}

template <class T, unsigned K>
void multiply(Warp& w, const Instruction& i, uint32_t) {
    constexpr unsigned a_registers = K / (2 * T::PER_REGISTER), b_registers = a_registers / 2;
    constexpr unsigned first_c = 4 + a_registers + b_registers;
    Matrices m;
    gather<T, K>(w, i, 4, m);
    const auto place = [](unsigned lane, unsigned r) {
        return std::pair(lane / 4 + 8 * (r / 2), 2 * (lane % 4) + r % 2);
    };
    for (unsigned lane = 0; lane < LANES; ++lane) {
        for (unsigned r = 0; r < 4; ++r) {
            const auto [row, column] = place(lane, r);
            m.c[row][column] = w.in<float>(i, first_c + r)[lane];
        }
    }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        for (unsigned r = 0; r < 4; ++r) {
            const auto [row, column] = place(lane, r);
            w.out<float>(i, r)[lane] = dot<T, K>(m, row, column, w.block->launch->accumulation);
        }
    }
}

// With accumulators in FP16. A register holds two neighbours of a row.
template <unsigned K>
void multiply_to_half(Warp& w, const Instruction& i, uint32_t) {
    using T = Pair<Half>;
    constexpr unsigned a_registers = K / 4, first_c = 2 + a_registers + a_registers / 2;
    Matrices m;
    gather<T, K>(w, i, 2, m);
    for (unsigned lane = 0; lane < LANES; ++lane) {
        for (unsigned r = 0; r < 2; ++r) {
            for (unsigned e = 0; e < 2; ++e) {
                m.c[lane / 4 + 8 * r][2 * (lane % 4) + e] =
                    float(T::element(w.in<uint32_t>(i, first_c + r)[lane], e));
            }
        }
    }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        for (unsigned r = 0; r < 2; ++r) {
            uint32_t both = 0;
            for (unsigned e = 0; e < 2; ++e) {
                const float sum = dot<T, K>(m, lane / 4 + 8 * r, 2 * (lane % 4) + e,
                                            w.block->launch->accumulation);
                both |= uint32_t(to_short<Half>(sum)) << 16 * e;
            }
            w.out<uint32_t>(i, r)[lane] = both;
        }
    }
}

// ldmatrix: lanes 8j to 8j + 7 give the addresses of the rows of matrix j, 16 bytes each. A lane gets
// the elements 2t and 2t + 1 of row g of each, or, transposed, of column g.
template <unsigned COUNT, bool TRANSPOSED>
void load_matrices(Warp& w, const Instruction& i, uint32_t) {
    for (unsigned j = 0; j < COUNT; ++j) {
        uint16_t matrix[8][8];
        for (unsigned row = 0; row < 8; ++row) {
            const unsigned giver = 8 * j + row;
            const uint64_t address = address_of(w, i, COUNT, giver);
            const Space space = Space(i.space);
            // The lanes that read a part of the row are those that might be too early.
            for (unsigned part = 0; part < 4; ++part) {
                const unsigned reader = TRANSPOSED ? giver : 4 * row + part;
                const char* from = resolve(w, i, reader, space, address + 4 * part, 4,
                                           part == 0 ? 16 : 4, Access::READ);
                std::memcpy(&matrix[row][2 * part], from, 4);
            }
        }
        for (unsigned lane = 0; lane < LANES; ++lane) {
            const unsigned g = lane / 4, t = lane % 4;
            const uint32_t low = TRANSPOSED ? matrix[2 * t][g] : matrix[g][2 * t];
            const uint32_t high = TRANSPOSED ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
            w.out<uint32_t>(i, j)[lane] = high << 16 | low;
        }
    }
}

template <class T, unsigned K>
void add_product(Table& t, const std::string& type) {
    const std::string name = "mma.sync.aligned.m16n8k" + std::to_string(K) + ".row.col.f32." + type +
                             "." + type + ".f32";
    const unsigned registers = K / (2 * T::PER_REGISTER);
    t.add(name, std::string(8 + registers + registers / 2, '4'), multiply<T, K>, WHOLE_WARP);
}

template <unsigned COUNT>
void add_loads(Table& t) {
    const std::string name = "ldmatrix.sync.aligned.m8n8.x" + std::to_string(COUNT);
    const std::string operands = std::string(COUNT, '4') + "a";
    t.add(name + ".shared.b16", operands, load_matrices<COUNT, false>, WHOLE_WARP);
    t.add(name + ".trans.shared.b16", operands, load_matrices<COUNT, true>, WHOLE_WARP);
}

}  // namespace

void add_tensor_instructions(Table& t) {
    add_product<Tf32, 4>(t, "tf32");
    add_product<Tf32, 8>(t, "tf32");
    add_product<Pair<Half>, 8>(t, "f16");
    add_product<Pair<Half>, 16>(t, "f16");
    add_product<Pair<Bfloat>, 8>(t, "bf16");
    add_product<Pair<Bfloat>, 16>(t, "bf16");
    t.add("mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", "4444444", multiply_to_half<8>,
          WHOLE_WARP);
    t.add("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", "4444444444", multiply_to_half<16>,
          WHOLE_WARP);
    add_loads<1>(t);
    add_loads<2>(t);
    add_loads<4>(t);
}

}  // namespace ptx
