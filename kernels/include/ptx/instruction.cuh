// Instructions of PTX, as macros that carry the opcode. On the device each becomes inline assembly;
// on the host the emulator's file of this name takes its place, and carries out what the opcode
// says. The wrappers that kernels call (mma.cuh, ldmatrix.cuh, async_copy.cuh, store.cuh) are
// the same for both.
#pragma once

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// d = a·b + d, with four floats of d, four registers of a and two of b.
#define PTX_MMA(opcode, d, a, b)                                                              \
    asm volatile(opcode " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"    \
                 : "+f"((d)[0]), "+f"((d)[1]), "+f"((d)[2]), "+f"((d)[3])                     \
                 : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"((b)[0]), "r"((b)[1]))

// One, two or four registers from rows of shared memory.
#define PTX_LDMATRIX_X1(opcode, d, row)                                                       \
    asm volatile(opcode " {%0}, [%1];" : "=r"((d)[0]) : "r"(shared_address(row)) : "memory")
#define PTX_LDMATRIX_X2(opcode, d, row)                                                       \
    asm volatile(opcode " {%0, %1}, [%2];"                                                    \
                 : "=r"((d)[0]), "=r"((d)[1])                                                 \
                 : "r"(shared_address(row))                                                   \
                 : "memory")
#define PTX_LDMATRIX_X4(opcode, d, row)                                                       \
    asm volatile(opcode " {%0, %1, %2, %3}, [%4];"                                            \
                 : "=r"((d)[0]), "=r"((d)[1]), "=r"((d)[2]), "=r"((d)[3])                     \
                 : "r"(shared_address(row))                                                   \
                 : "memory")

// `bytes`, a constant, from global to shared memory; those beyond `source_bytes` become zero.
#define PTX_COPY(opcode, to, from, bytes, source_bytes)                                       \
    asm volatile(opcode " [%0], [%1], %2, %3;" ::"r"(shared_address(to)),                     \
                 "l"(__cvta_generic_to_global(from)), "n"(bytes), "r"(source_bytes)           \
                 : "memory")

// Four floats to global memory.
#define PTX_STORE_X4(opcode, to, values)                                                      \
    asm volatile(opcode " [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),       \
                 "f"((values)[0]), "f"((values)[1]), "f"((values)[2]), "f"((values)[3])       \
                 : "memory")

// Without an operand, and with a constant.
#define PTX_BARE(opcode) asm volatile(opcode ";" ::: "memory")
#define PTX_CONSTANT(opcode, number) asm volatile(opcode " %0;" ::"n"(number) : "memory")

// The bits of a float, converted.
#define PTX_CONVERT(opcode, d, x) asm(opcode " %0, %1;" : "=r"(d) : "f"(x))
