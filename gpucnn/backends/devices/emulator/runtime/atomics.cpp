#include "../include/atomics.h"

namespace emulator {

namespace {

// Blocks may run at the same time on several threads of the host.
constexpr int ORDER = __ATOMIC_RELAXED;

template <typename T>
T* checked(const Call& call, T* address) {
    check_access(call, address, sizeof(T), Use::ATOMIC);
    return address;
}

template <typename T, typename Choose>
T update(T* address, Choose choose) {
    T old = __atomic_load_n(address, ORDER);
    while (!__atomic_compare_exchange_n(address, &old, choose(old), false, ORDER, ORDER)) {
    }
    return old;
}

}  // namespace

#define EMULATOR_ATOMICS(T)                                                              \
    T atomic_add(const Call& call, T* address, T value) {                                \
        return __atomic_fetch_add(checked(call, address), value, ORDER);                 \
    }                                                                                    \
    T atomic_compare_exchange(const Call& call, T* address, T expected, T value) {       \
        __atomic_compare_exchange_n(                                                     \
            checked(call, address), &expected, value, false, ORDER, ORDER);              \
        return expected;                                                                 \
    }

#define EMULATOR_WORD_ATOMICS(T)                                                         \
    EMULATOR_ATOMICS(T)                                                                  \
    T atomic_max(const Call& call, T* address, T value) {                                \
        return update(checked(call, address), [=](T old) { return old < value ? value : old; }); \
    }                                                                                    \
    T atomic_min(const Call& call, T* address, T value) {                                \
        return update(checked(call, address), [=](T old) { return value < old ? value : old; }); \
    }                                                                                    \
    T atomic_exchange(const Call& call, T* address, T value) {                           \
        return __atomic_exchange_n(checked(call, address), value, ORDER);                \
    }

EMULATOR_WORD_ATOMICS(int)
EMULATOR_WORD_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)

unsigned atomic_and(const Call& call, unsigned* address, unsigned value) {
    return __atomic_fetch_and(checked(call, address), value, ORDER);
}

unsigned atomic_or(const Call& call, unsigned* address, unsigned value) {
    return __atomic_fetch_or(checked(call, address), value, ORDER);
}

}  // namespace emulator
