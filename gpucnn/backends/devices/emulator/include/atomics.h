// Atomic operations on integers. They are functions of the runtime, where no access of theirs is
// taken for a race with another atomic operation.
#pragma once

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
// Up to the value and then 0; down to 0 and then the value.
EMULATOR_ATOMIC(increment, unsigned)
EMULATOR_ATOMIC(decrement, unsigned)

#undef EMULATOR_ATOMIC
#undef EMULATOR_ATOMICS

}  // namespace emulator

#define atomicAdd(...) ::emulator::atomic_add(EMULATOR_CALL("atomicAdd"), __VA_ARGS__)
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
