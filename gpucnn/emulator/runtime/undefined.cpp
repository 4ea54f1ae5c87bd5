// Race mode: what the compiler calls (-fsanitize=undefined) where an operation has no result in C++.
// Each is given a description of the place and the types, and the operands; a value that does not fit
// a word is passed by address. The layouts are those of LLVM's ubsan_handlers.h, which g++ shares.
// The words are the sanitizer's, so that both modes report the same.
#if !defined(__SANITIZE_ADDRESS__)

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "block.h"
#include "surroundings.h"

namespace emulator {

namespace {

struct Type {
    uint16_t kind;  // 0 an integer, 1 a floating-point number
    uint16_t info;  // of an integer: bit 0 whether it is signed, then log2 of its bits; else bits
    char name[];    // in quotation marks
};

// Of each description: the file, the line and the column, which the instruction tells as well.
struct Described {
    const char* file;
    uint32_t line, column;
    const Type* types[2];
};

struct Misaligned {
    const char* file;
    uint32_t line, column;
    const Type* type;
    unsigned char log_alignment, kind;
};

unsigned bits_of(const Type& type) {
    return type.kind == 0 ? 1u << (type.info >> 1) : type.info;
}

// A number as text.
struct Number {
    Number(const Type& type, uintptr_t value) {
        uint64_t bits = value;
        if (bits_of(type) > 64) {
            snprintf(text, sizeof text, "a number of %u bits", bits_of(type));
        } else if (type.kind == 1) {
            float single;
            double number;
            memcpy(&single, &bits, sizeof single);
            memcpy(&number, &bits, sizeof number);
            snprintf(text, sizeof text, "%g", bits_of(type) == 32 ? single : number);
        } else if ((type.info & 1) != 0) {
            const unsigned unused = 64 - bits_of(type);
            const auto number = static_cast<int64_t>(bits << unused) >> unused;
            snprintf(text, sizeof text, "%lld", static_cast<long long>(number));
        } else {
            snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(bits));
        }
    }
    char text[32];
};

template <typename... Values>
[[noreturn]] void report_as(FailureKind kind, const char* format, const Values&... values) {
    char message[512];
    snprintf(message, sizeof message, format, values...);
    this_runner().fail(kind, message);
}

template <typename... Values>
[[noreturn]] void report(const char* format, const Values&... values) {
    report_as(FailureKind::UNDEFINED_BEHAVIOUR, format, values...);
}

[[noreturn]] void report_overflow(
    const Described& data, uintptr_t left, const char* operation, uintptr_t right) {
    const Type& type = *data.types[0];
    report("signed integer overflow: %s %s %s cannot be represented in type %s",
           Number(type, left).text, operation, Number(type, right).text, type.name);
}

}  // namespace

}  // namespace emulator

// With -fno-sanitize-recover the names end in _abort.
#define HANDLER(name, parameters, ...)                                    \
    extern "C" void __ubsan_handle_##name parameters { __VA_ARGS__; }     \
    extern "C" void __ubsan_handle_##name##_abort parameters { __VA_ARGS__; }

using emulator::Described, emulator::FailureKind, emulator::Location, emulator::Misaligned,
    emulator::Number, emulator::report, emulator::report_as, emulator::report_overflow;

HANDLER(type_mismatch_v1, (const Misaligned& data, uintptr_t address),
        if (emulator::is_uninitialised(address)) {
            report_as(FailureKind::UNINITIALISED,
                      "access" EMULATOR_AT " through a pointer that was never initialised");
        }
        report_as(FailureKind::MISALIGNED,
                  "misaligned access" EMULATOR_AT ": the address of %s is no multiple of %u",
                  Location(reinterpret_cast<void*>(address)).text, 1u << data.log_alignment))
HANDLER(out_of_bounds, (const Described& data, uintptr_t index),
        report_as(FailureKind::OUT_OF_BOUNDS, "index %s out of bounds for type %s",
                  Number(*data.types[1], index).text, data.types[0]->name))
HANDLER(shift_out_of_bounds, (const Described& data, uintptr_t, uintptr_t right),
        report("shift exponent %s is too large for type %s, or negative",
               Number(*data.types[1], right).text, data.types[0]->name))
HANDLER(float_cast_overflow, (const Described& data, uintptr_t value),
        report("%s is outside the range of representable values of type %s",
               Number(*data.types[0], value).text, data.types[1]->name))
HANDLER(add_overflow, (const Described& data, uintptr_t left, uintptr_t right),
        report_overflow(data, left, "+", right))
HANDLER(sub_overflow, (const Described& data, uintptr_t left, uintptr_t right),
        report_overflow(data, left, "-", right))
HANDLER(mul_overflow, (const Described& data, uintptr_t left, uintptr_t right),
        report_overflow(data, left, "*", right))
HANDLER(divrem_overflow, (const Described& data, uintptr_t left, uintptr_t),
        report("division of %s by -1 cannot be represented in type %s",
               Number(*data.types[0], left).text, data.types[0]->name))
HANDLER(negate_overflow, (const Described& data, uintptr_t value),
        report("negation of %s cannot be represented in type %s",
               Number(*data.types[0], value).text, data.types[0]->name))

#endif
