// How the runtime calls a kernel whose parameters it does not know: its arguments lie in slots of 8
// bytes. What a launch is held against is exported with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "interface.h"

namespace emulator {

// One letter a parameter: 'p' and the size of what it points to, or the kind of number ('f'
// floating, 'i' signed, 'u' unsigned, 's' a structure) and its size.
template <typename T>
constexpr char kind_of() {
    if (std::is_pointer_v<T>) {
        return 'p';
    }
    if (std::is_floating_point_v<T>) {
        return 'f';
    }
    if (!std::is_integral_v<T>) {
        return 's';
    }
    return std::is_signed_v<T> ? 'i' : 'u';
}

template <typename T>
constexpr unsigned size_of() {
    if constexpr (std::is_pointer_v<T>) {
        return sizeof(std::remove_pointer_t<T>);
    } else {
        return sizeof(T);
    }
}

struct Parameter {
    char kind;
    unsigned bytes;
};

// What a module exports for each kernel.
struct KernelEntry {
    void (*call)(const uint64_t* slots);
    const Parameter* parameters;
    // Of __launch_bounds__; 0 without.
    unsigned most_threads;
};

// What a kernel declares with __launch_bounds__(threads, ...).
constexpr unsigned launch_bound(unsigned threads = 0, unsigned = 0, unsigned = 0) {
    return threads;
}

template <auto kernel>
struct Entry;

template <typename... Parameters, void (*kernel)(Parameters...)>
struct Entry<kernel> {
    // Not checked for races: it reads the runtime's own memory.
    EMULATOR_UNCHECKED static void call(const uint64_t* slots) {
        call(slots, std::index_sequence_for<Parameters...>());
    }

    static constexpr Parameter parameters[] = {
        {kind_of<Parameters>(), size_of<Parameters>()}..., {'\0', 0}};

private:
    template <size_t... i>
    EMULATOR_UNCHECKED static void call(const uint64_t* slots, std::index_sequence<i...>) {
        static_assert((... && (sizeof(Parameters) <= 8)), "parameters of up to 8 bytes");
        kernel(*reinterpret_cast<const Parameters*>(slots + i)...);
    }
};

}  // namespace emulator
