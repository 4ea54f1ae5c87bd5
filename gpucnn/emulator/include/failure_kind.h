// Why a launch failed: each kind is a class of errors.py, which lists them in the same order.
#pragma once

#include <cstdint>

namespace emulator {

enum class FailureKind : uint32_t {
    OTHER,
    LAUNCH,
    RACE,
    OUT_OF_BOUNDS,
    MISALIGNED,
    DIVERGENCE,
    UNINITIALISED,
    UNDEFINED_BEHAVIOUR,
    ASSERTION_FAILED,
    STACK_OVERFLOW,
    TIME_LIMIT,
    UNSUPPORTED,
};

}  // namespace emulator
