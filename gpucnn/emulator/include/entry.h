// How the runtime calls a kernel whose parameters it does not know, and what a module exports of each
// kernel, so that a launch's arguments can be compared with its parameters.
//
// The arguments lie in one buffer, in order, each at the next multiple of 16 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "interface.h"

namespace emulator {

// A parameter: 'p' and what it points to, or the kind of value ('f' floating, 'i' signed, 'u'
// unsigned, 's' a structure) and its size.
struct Parameter {
    char kind;
    // Of what a pointer points to; otherwise 0.
    char pointee;
    unsigned bytes;
};

template <typename T>
constexpr char kind_of() {
    if (std::is_pointer_v<T>) {
        return 'p';
    }
    if (std::is_floating_point_v<T>) {
        return 'f';
    }
    if (!std::is_integral_v<T>) {
        return std::is_enum_v<T> ? 'i' : 's';
    }
    return std::is_signed_v<T> ? 'i' : 'u';
}

template <typename T>
constexpr unsigned size_of() {
    if constexpr (std::is_void_v<T> || std::is_function_v<T>) {
        return 1;
    } else {
        return sizeof(T);
    }
}

// A reference is passed as an address.
template <typename T>
constexpr Parameter parameter_of() {
    if constexpr (std::is_pointer_v<T> || std::is_reference_v<T>) {
        using Pointee = std::remove_cv_t<std::remove_pointer_t<std::remove_reference_t<T>>>;
        return {'p', kind_of<Pointee>(), size_of<Pointee>()};
    } else {
        return {kind_of<T>(), '\0', sizeof(T)};
    }
}

template <typename T>
constexpr size_t bytes_of_argument() {
    const size_t bytes = std::is_reference_v<T> ? sizeof(void*) : sizeof(T);
    return (bytes + 15) / 16 * 16;
}

// What a module exports for each kernel; the last of its table has no name.
struct KernelEntry {
    const char* name;
    // Its parameters' names, with a comma between them.
    const char* parameter_names;
    // Whether its plain name finds it, as that of an extern "C" function does on a GPU.
    int is_plain;
    void (*call)(const char* arguments);
    // The last has the kind 0.
    const Parameter* parameters;
    // Of __launch_bounds__; 0 without.
    unsigned most_threads;
    const void* function;
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
    EMULATOR_UNCHECKED static void call(const char* arguments) {
        call(arguments, std::index_sequence_for<Parameters...>());
    }

    static constexpr Parameter parameters[] = {parameter_of<Parameters>()..., {}};

private:
    // Where each argument begins.
    struct Places {
        size_t at[sizeof...(Parameters) + 1];
    };
    static constexpr Places places() {
        Places places = {};
        size_t i = 0;
        ((places.at[i + 1] = places.at[i] + bytes_of_argument<Parameters>(), ++i), ...);
        return places;
    }

    template <typename T>
    EMULATOR_UNCHECKED static T argument(const char* place) {
        if constexpr (std::is_reference_v<T>) {
            return static_cast<T>(**reinterpret_cast<std::remove_reference_t<T>* const*>(place));
        } else {
            return *reinterpret_cast<const T*>(place);
        }
    }

    template <size_t... i>
    EMULATOR_UNCHECKED static void call(const char* arguments, std::index_sequence<i...>) {
        constexpr Places at = places();
        kernel(argument<Parameters>(arguments + at.at[i])...);
    }
};

}  // namespace emulator
