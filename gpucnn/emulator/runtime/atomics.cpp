#include "../include/atomics.h"

#include "launch.h"

namespace emulator {

namespace {

// Blocks may run at the same time on several threads of the host.
constexpr int ORDER = __ATOMIC_RELAXED;

template <typename T>
T* checked(const Call& call, const void* instruction, T* address) {
    check_aligned(call, instruction, address, sizeof(T), Use::ATOMIC);
    return address;
}

template <typename T, typename Choose>
T update(T* address, Choose choose) {
    T old;
    __atomic_load(address, &old, ORDER);
    for (T chosen = choose(old);
         !__atomic_compare_exchange(address, &old, &chosen, false, ORDER, ORDER);
         chosen = choose(old)) {
    }
    return old;
}

// As on the device, where what does not fit is cut off.
template <typename T>
T sum(T a, T b) {
    T result;
    (void)__builtin_add_overflow(a, b, &result);
    return result;
}

template <typename T>
T difference(T a, T b) {
    T result;
    (void)__builtin_sub_overflow(a, b, &result);
    return result;
}

}  // namespace

// An operation that makes `result` of `old` and `value`.
#define EMULATOR_ATOMIC(name, T, result)                                                     \
    T atomic_##name(const Call& call, T* address, T value) {                                 \
        return update(checked(call, __builtin_return_address(0), address),                   \
                      [=](T old) -> T { return result; });                                   \
    }

#define EMULATOR_COMPARE_EXCHANGE(T)                                                         \
    T atomic_compare_exchange(const Call& call, T* address, T expected, T value) {           \
        __atomic_compare_exchange_n(checked(call, __builtin_return_address(0), address),     \
                                    &expected, value, false, ORDER, ORDER);                  \
        return expected;                                                                     \
    }

#define EMULATOR_ATOMICS(T)                                                                  \
    EMULATOR_ATOMIC(add, T, sum(old, value))                                                     \
    EMULATOR_ATOMIC(max, T, old < value ? value : old)                                       \
    EMULATOR_ATOMIC(min, T, value < old ? value : old)                                       \
    EMULATOR_ATOMIC(and, T, old & value)                                                     \
    EMULATOR_ATOMIC(or, T, old | value)                                                      \
    EMULATOR_ATOMIC(xor, T, old ^ value)                                                     \
    EMULATOR_ATOMIC(exchange, T, value)                                                      \
    EMULATOR_COMPARE_EXCHANGE(T)

EMULATOR_ATOMICS(int)
EMULATOR_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)
EMULATOR_ATOMIC(max, long long, old < value ? value : old)
EMULATOR_ATOMIC(min, long long, value < old ? value : old)
EMULATOR_ATOMIC(add, float, old + value)
EMULATOR_ATOMIC(add, double, old + value)
EMULATOR_ATOMIC(exchange, float, value)
EMULATOR_COMPARE_EXCHANGE(unsigned short)
EMULATOR_ATOMIC(subtract, int, difference(old, value))
EMULATOR_ATOMIC(subtract, unsigned, difference(old, value))
EMULATOR_ATOMIC(increment, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(decrement, unsigned, old == 0 || old > value ? value : old - 1)

}  // namespace emulator
