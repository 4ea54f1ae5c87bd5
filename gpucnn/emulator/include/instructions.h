// Instructions of PTX on the host: what each opcode does. An opcode that is not here does not
// compile. Kernels reach them through the macros of wrappers/ptx/instruction.cuh.
#pragma once

#include "atomics.h"
#include "collectives.h"
#include "short_float.h"
#include "tensor_core.h"

namespace emulator {

// A string as an argument of a template.
template <size_t size>
struct Opcode {
    char text[size];
    constexpr Opcode(const char (&literal)[size]) {
        for (size_t i = 0; i < size; ++i) {
            text[i] = literal[i];
        }
    }
};

// What an instruction does; a specialisation an opcode.
template <Opcode opcode>
struct Instruction;

inline void need_whole_warp(const Call& call) {
    const dim3 size = place.block_size;
    const unsigned threads = size.x * size.y * size.z;
    if (threads % LANES != 0) {
        const uint3 index = place.thread;
        const unsigned number = index.x + size.x * (index.y + size.y * index.z);
        if (number / LANES == threads / LANES) {
            fail(call, "%s needs all 32 lanes of a warp, this one has %u", call.name,
                 threads % LANES);
        }
    }
}

// Matrix products

struct MmaOperands {
    float* d;
    const unsigned* a;
    const unsigned* b;
};

// `Format` says where a lane's registers belong: format.place(lane, a, b, tiles).
template <typename Format>
EMULATOR_UNCHECKED void combine_mma(void** lanes) {
    Tiles<Format::INNER> tiles;
    const auto element_of_d = [&](unsigned lane, unsigned i) -> float& {
        return tiles.d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    };
    for (unsigned lane = 0; lane < LANES; ++lane) {
        const auto* operands = static_cast<const MmaOperands*>(lanes[lane]);
        Format::place(lane, operands->a, operands->b, tiles);
        for (unsigned i = 0; i < 4; ++i) {
            element_of_d(lane, i) = operands->d[i];
        }
    }
    accumulate<Format>(tiles);
    for (unsigned lane = 0; lane < LANES; ++lane) {
        const auto* operands = static_cast<const MmaOperands*>(lanes[lane]);
        for (unsigned i = 0; i < 4; ++i) {
            operands->d[i] = element_of_d(lane, i);
        }
    }
}

template <typename Format>
void mma(const Call& call, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    need_whole_warp(call);
    // Copies, which the race check does not see: registers are nobody else's.
    float result[4] = {d[0], d[1], d[2], d[3]};
    MmaOperands operands = {result, a, b};
    warp_collective(call, 0xffffffffu, &operands, combine_mma<Format>);
    for (int i = 0; i < 4; ++i) {
        d[i] = result[i];
    }
}

// Elements of 16 bits, two a register, the first in the low half.
template <float (*decode)(unsigned short), int least_exponent>
struct Halves {
    static constexpr int INNER = 16, BYTES = 2, LEAST_EXPONENT = least_exponent;
    EMULATOR_UNCHECKED static void place(
        unsigned lane, const unsigned* a, const unsigned* b, Tiles<INNER>& tiles) {
        const unsigned group = lane / 4, within = lane % 4;
        for (unsigned i = 0; i < 8; ++i) {
            const unsigned row = group + (i / 2 % 2) * 8;
            const unsigned column = 2 * within + i % 2 + i / 4 * 8;
            tiles.a[row][column] = decode(static_cast<unsigned short>(a[i / 2] >> i % 2 * 16));
        }
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = 2 * within + i % 2 + i / 2 * 8;
            tiles.b[row][group] = decode(static_cast<unsigned short>(b[i / 2] >> i % 2 * 16));
        }
    }
};

struct Tf32 {
    static constexpr int INNER = 8, BYTES = 4, LEAST_EXPONENT = -126;
    EMULATOR_UNCHECKED static float decode(unsigned bits) {
        return bit_cast<float>(bits & 0xffffe000u);
    }
    EMULATOR_UNCHECKED static void place(
        unsigned lane, const unsigned* a, const unsigned* b, Tiles<INNER>& tiles) {
        const unsigned group = lane / 4, within = lane % 4;
        for (unsigned i = 0; i < 4; ++i) {
            tiles.a[group + i % 2 * 8][within + i / 2 * 4] = decode(a[i]);
        }
        for (unsigned i = 0; i < 2; ++i) {
            tiles.b[within + i * 4][group] = decode(b[i]);
        }
    }
};

template <>
struct Instruction<"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32">
    : Halves<&Bfloat16::decode, -126> {};
template <>
struct Instruction<"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32">
    : Halves<&Half::decode, -14> {};
template <>
struct Instruction<"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"> : Tf32 {};

// Matrices from shared memory

template <unsigned matrices>
struct MatrixLoad {
    const char* row;
    unsigned result[matrices];
};

template <unsigned matrices, bool transposed>
EMULATOR_UNCHECKED void combine_ldmatrix(void** lanes) {
    const auto load = [&](unsigned lane) {
        return static_cast<MatrixLoad<matrices>*>(lanes[lane]);
    };
    for (unsigned lane = 0; lane < LANES; ++lane) {
        for (unsigned matrix = 0; matrix < matrices; ++matrix) {
            unsigned short halves[2];
            for (unsigned i = 0; i < 2; ++i) {
                const unsigned outer = lane / 4, inner = lane % 4 * 2 + i;
                const unsigned row = transposed ? inner : outer;
                const unsigned column = transposed ? outer : inner;
                __builtin_memcpy(&halves[i], load(matrix * 8 + row)->row + 2 * column, 2);
            }
            load(lane)->result[matrix] = halves[0] | static_cast<unsigned>(halves[1]) << 16;
        }
    }
}

template <unsigned matrices, bool transposed>
struct LoadMatrix {
    static void run(const Call& call, unsigned (&d)[matrices], const void* row) {
        need_whole_warp(call);
        if (lane() < 8 * matrices) {
            check_shared(call, row, 16);
            check_access(call, row, 16, Use::READ);
        }
        MatrixLoad<matrices> load = {static_cast<const char*>(row), {}};
        warp_collective(call, 0xffffffffu, &load, combine_ldmatrix<matrices, transposed>);
        for (unsigned i = 0; i < matrices; ++i) {
            d[i] = load.result[i];
        }
    }
};

template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x1.shared.b16"> : LoadMatrix<1, false> {};
template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x2.shared.b16"> : LoadMatrix<2, false> {};
template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x4.shared.b16"> : LoadMatrix<4, false> {};
template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16"> : LoadMatrix<1, true> {};
template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16"> : LoadMatrix<2, true> {};
template <>
struct Instruction<"ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"> : LoadMatrix<4, true> {};

// Asynchronous copies

template <int least, int most>
struct Copy {
    template <int bytes>
    static void run(const Call& call, void* to, const void* from, int source_bytes) {
        static_assert(bytes >= least && bytes <= most, "the copy has no such size");
        async_copy(call, to, from, bytes, static_cast<size_t>(source_bytes));
    }
};

template <>
struct Instruction<"cp.async.ca.shared.global"> : Copy<4, 16> {};
template <>
struct Instruction<"cp.async.cg.shared.global"> : Copy<16, 16> {};
template <>
struct Instruction<"cp.async.commit_group"> {
    static void run(const Call&) { async_commit(); }
};
template <>
struct Instruction<"cp.async.wait_group"> {
    static void run(const Call& call, unsigned pending) { async_wait(call, pending); }
};
template <>
struct Instruction<"cp.async.wait_all"> {
    static void run(const Call& call) {
        async_commit();
        async_wait(call, 0);
    }
};

// Stores

template <>
struct Instruction<"st.global.v4.f32"> {
    struct alignas(16) Vector {
        float of[4];
    };
    // The compiler sees this store, so each mode checks it as it does a kernel's own.
    static void run(float* to, const float (&values)[4]) {
        *reinterpret_cast<Vector*>(to) = {{values[0], values[1], values[2], values[3]}};
    }
};

// Conversions

template <>
struct Instruction<"cvt.rna.tf32.f32"> {
    static unsigned run(float x) {
        // Adds half a unit of the last place that stays; NaN and infinities stay what they are.
        const auto bits = bit_cast<unsigned>(x);
        return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
    }
};

}  // namespace emulator
