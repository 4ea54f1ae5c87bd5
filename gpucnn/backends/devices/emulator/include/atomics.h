// Atomic operations on integers. They are functions of the runtime, where no access of theirs is
// taken for a race with another atomic operation.
#pragma once

#include "interface.h"

namespace emulator {

int atomic_add(const Call& call, int* address, int value);
unsigned atomic_add(const Call& call, unsigned* address, unsigned value);
unsigned long long atomic_add(
    const Call& call, unsigned long long* address, unsigned long long value);
int atomic_max(const Call& call, int* address, int value);
unsigned atomic_max(const Call& call, unsigned* address, unsigned value);
int atomic_min(const Call& call, int* address, int value);
unsigned atomic_min(const Call& call, unsigned* address, unsigned value);
unsigned atomic_and(const Call& call, unsigned* address, unsigned value);
unsigned atomic_or(const Call& call, unsigned* address, unsigned value);
int atomic_exchange(const Call& call, int* address, int value);
unsigned atomic_exchange(const Call& call, unsigned* address, unsigned value);
int atomic_compare_exchange(const Call& call, int* address, int expected, int value);
unsigned atomic_compare_exchange(
    const Call& call, unsigned* address, unsigned expected, unsigned value);
unsigned long long atomic_compare_exchange(
    const Call& call, unsigned long long* address, unsigned long long expected,
    unsigned long long value);

}  // namespace emulator

#define atomicAdd(address, value) \
    ::emulator::atomic_add(EMULATOR_CALL("atomicAdd"), address, value)
#define atomicMax(address, value) \
    ::emulator::atomic_max(EMULATOR_CALL("atomicMax"), address, value)
#define atomicMin(address, value) \
    ::emulator::atomic_min(EMULATOR_CALL("atomicMin"), address, value)
#define atomicAnd(address, value) \
    ::emulator::atomic_and(EMULATOR_CALL("atomicAnd"), address, value)
#define atomicOr(address, value) ::emulator::atomic_or(EMULATOR_CALL("atomicOr"), address, value)
#define atomicExch(address, value) \
    ::emulator::atomic_exchange(EMULATOR_CALL("atomicExch"), address, value)
#define atomicCAS(address, expected, value) \
    ::emulator::atomic_compare_exchange(EMULATOR_CALL("atomicCAS"), address, expected, value)
