// Atomic operations on integers. They are functions of the runtime, where no access of theirs is
// taken for a race with another atomic operation.
#pragma once

#include <type_traits>

#include "interface.h"
#include "scalar_functions.h"

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

inline float atomic_exchange(const Call& call, float* address, float value) {
    const int bits = bit_cast<int>(value);
    return bit_cast<float>(atomic_exchange(call, reinterpret_cast<int*>(address), bits));
}

// Stores one of the present value and another, again until no other thread has changed the value in
// between. Returns what was there. `Bits` is an integer type of the same size.
template <typename Bits, typename T, typename Choice>
T atomic_choice(const Call& call, T* address, T value, Choice choose) {
    auto* bits = reinterpret_cast<Bits*>(address);
    Bits seen = atomic_compare_exchange(call, bits, Bits{0}, Bits{0});  // Reads it.
    for (;;) {
        const Bits chosen = bit_cast<Bits>(choose(value, bit_cast<T>(seen)));
        const Bits before = atomic_compare_exchange(call, bits, seen, chosen);
        if (before == seen) {
            return bit_cast<T>(before);
        }
        seen = before;
    }
}

inline long long atomic_max(const Call& call, long long* address, long long value) {
    return atomic_choice<unsigned long long>(
        call, address, value, [](long long a, long long b) { return a < b ? b : a; });
}
inline long long atomic_min(const Call& call, long long* address, long long value) {
    return atomic_choice<unsigned long long>(
        call, address, value, [](long long a, long long b) { return b < a ? b : a; });
}

// Of what is no integer.
template <typename T>
    requires(!std::is_integral_v<T>)
T atomic_add(const Call&, T*, std::type_identity_t<T>) {
    static_assert(sizeof(T) == 0,
                  "atomicAdd of floats: their sum depends on the order, which is another one each "
                  "time, so the emulator refuses it; write partial sums, and add them up in order");
}

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
