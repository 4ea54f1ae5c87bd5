// memcpy and its like, which the C library carries out: race mode is told what they access.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_THREAD__)

#define EMULATOR_IN_PLACE_OF_C extern inline __attribute__((gnu_inline, always_inline))

extern "C" {

void __tsan_read_range(const void* address, size_t size);
void __tsan_write_range(const void* address, size_t size);

EMULATOR_IN_PLACE_OF_C void* memcpy(void* to, const void* from, size_t size) noexcept {
    __tsan_read_range(from, size);
    __tsan_write_range(to, size);
    return __builtin_memcpy(to, from, size);
}

EMULATOR_IN_PLACE_OF_C void* memmove(void* to, const void* from, size_t size) noexcept {
    __tsan_read_range(from, size);
    __tsan_write_range(to, size);
    return __builtin_memmove(to, from, size);
}

EMULATOR_IN_PLACE_OF_C void* memset(void* to, int byte, size_t size) noexcept {
    __tsan_write_range(to, size);
    return __builtin_memset(to, byte, size);
}

}  // extern "C"

#endif
