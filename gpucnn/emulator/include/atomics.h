// Atomic operations. They are functions of the runtime, where no access of theirs is taken for a race
// with another atomic operation.
//
// The sum of floats depends on the order of the additions, which is that of the threads: another one
// with each seed, as it is with each launch on a GPU. So a module must ask for it, by a macro.
#pragma once

#include <type_traits>

#include "interface.h"

namespace emulator {

#define EMULATOR_ATOMIC(name, T) T atomic_##name(const Call& call, T* address, T value);
#define EMULATOR_ATOMICS(T)                                                         \
    EMULATOR_ATOMIC(add, T)                                                         \
    EMULATOR_ATOMIC(max, T)                                                         \
    EMULATOR_ATOMIC(min, T)                                                         \
    EMULATOR_ATOMIC(and, T)                                                         \
    EMULATOR_ATOMIC(or, T)                                                          \
    EMULATOR_ATOMIC(xor, T)                                                         \
    EMULATOR_ATOMIC(exchange, T)                                                    \
    T atomic_compare_exchange(const Call& call, T* address, T expected, T value);

EMULATOR_ATOMICS(int)
EMULATOR_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)
EMULATOR_ATOMIC(subtract, int)
EMULATOR_ATOMIC(subtract, unsigned)
EMULATOR_ATOMIC(max, long long)
EMULATOR_ATOMIC(min, long long)
EMULATOR_ATOMIC(add, float)
EMULATOR_ATOMIC(add, double)
EMULATOR_ATOMIC(exchange, float)
unsigned short atomic_compare_exchange(
    const Call& call, unsigned short* address, unsigned short expected, unsigned short value);
// Up to the value and then 0; down to 0 and then the value.
EMULATOR_ATOMIC(increment, unsigned)
EMULATOR_ATOMIC(decrement, unsigned)

#undef EMULATOR_ATOMIC
#undef EMULATOR_ATOMICS

template <typename T>
    requires(!std::is_arithmetic_v<T>)
T atomic_add(const Call&, T*, std::type_identity_t<T>) {
    static_assert(sizeof(T) == 0, "atomicAdd of integers, float and double is supported");
}

// What atomicAdd is in a source that may not add floats up in any order.
template <typename T>
T atomic_add_of_integers(const Call& call, T* address, std::type_identity_t<T> value) {
    static_assert(!std::is_floating_point_v<T>,
                  "atomicAdd of floats: their sum depends on the order, which is another one each "
                  "time, so the emulator refuses it; write partial sums, and add them up in order, "
                  "or allow it with float_atomics=True");
    return atomic_add(call, address, value);
}

}  // namespace emulator

// Which of the two, each source's translation decides.
#define atomicAdd(...) ::emulator::EMULATOR_ADD(EMULATOR_CALL("atomicAdd"), __VA_ARGS__)
#define atomicSub(...) ::emulator::atomic_subtract(EMULATOR_CALL("atomicSub"), __VA_ARGS__)
#define atomicInc(...) ::emulator::atomic_increment(EMULATOR_CALL("atomicInc"), __VA_ARGS__)
#define atomicDec(...) ::emulator::atomic_decrement(EMULATOR_CALL("atomicDec"), __VA_ARGS__)
#define atomicMax(...) ::emulator::atomic_max(EMULATOR_CALL("atomicMax"), __VA_ARGS__)
#define atomicMin(...) ::emulator::atomic_min(EMULATOR_CALL("atomicMin"), __VA_ARGS__)
#define atomicAnd(...) ::emulator::atomic_and(EMULATOR_CALL("atomicAnd"), __VA_ARGS__)
#define atomicOr(...) ::emulator::atomic_or(EMULATOR_CALL("atomicOr"), __VA_ARGS__)
#define atomicXor(...) ::emulator::atomic_xor(EMULATOR_CALL("atomicXor"), __VA_ARGS__)
#define atomicExch(...) ::emulator::atomic_exchange(EMULATOR_CALL("atomicExch"), __VA_ARGS__)
#define atomicCAS(...) ::emulator::atomic_compare_exchange(EMULATOR_CALL("atomicCAS"), __VA_ARGS__)

// Among the threads of a block alone, and with the host's too: that is the same here.
#define atomicAdd_block(...) atomicAdd(__VA_ARGS__)
#define atomicAdd_system(...) atomicAdd(__VA_ARGS__)
#define atomicSub_block(...) atomicSub(__VA_ARGS__)
#define atomicSub_system(...) atomicSub(__VA_ARGS__)
#define atomicInc_block(...) atomicInc(__VA_ARGS__)
#define atomicInc_system(...) atomicInc(__VA_ARGS__)
#define atomicDec_block(...) atomicDec(__VA_ARGS__)
#define atomicDec_system(...) atomicDec(__VA_ARGS__)
#define atomicMax_block(...) atomicMax(__VA_ARGS__)
#define atomicMax_system(...) atomicMax(__VA_ARGS__)
#define atomicMin_block(...) atomicMin(__VA_ARGS__)
#define atomicMin_system(...) atomicMin(__VA_ARGS__)
#define atomicAnd_block(...) atomicAnd(__VA_ARGS__)
#define atomicAnd_system(...) atomicAnd(__VA_ARGS__)
#define atomicOr_block(...) atomicOr(__VA_ARGS__)
#define atomicOr_system(...) atomicOr(__VA_ARGS__)
#define atomicXor_block(...) atomicXor(__VA_ARGS__)
#define atomicXor_system(...) atomicXor(__VA_ARGS__)
#define atomicExch_block(...) atomicExch(__VA_ARGS__)
#define atomicExch_system(...) atomicExch(__VA_ARGS__)
#define atomicCAS_block(...) atomicCAS(__VA_ARGS__)
#define atomicCAS_system(...) atomicCAS(__VA_ARGS__)
