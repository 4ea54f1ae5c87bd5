// What tells race mode of a kernel's accesses: the functions that the compiler calls before each
// (-fsanitize=thread), in place of the thread sanitizer's own, and the runtime's, for accesses that the
// compiler does not see.
#include "race.h"
#include "surroundings.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {

#if defined(__SANITIZE_ADDRESS__)

// Looked at here, at the thread's own access: a collective may make it in another's place.
void check_bytes(const Call& call, const void*, const void* address, size_t size, Use use) {
    void* const begin = const_cast<void*>(address);
    if (__asan_region_is_poisoned(begin, size) != nullptr) {
        const StrayAccess access(use == Use::READ ? "read" : "write", size, address);
        fail(call, FailureKind::OUT_OF_BOUNDS, "%s, by %s", access.text, call.name);
    }
}

#else

void check_bytes(
    const Call&, const void* instruction, const void* address, size_t size, Use use) {
    if (checks.on) {
        check(address, size, 1, use, instruction);
    }
}

#endif

void fail_misaligned(const Call& call, size_t size, const void* address, Use use) {
    fail(call, FailureKind::MISALIGNED,
         "misaligned %s of %zu bytes" EMULATOR_AT " by %s: the address of %s is no multiple of %zu",
         use == Use::READ ? "read" : "write", size, call.name, Location(address).text, size);
}

void check_aligned(
    const Call& call, const void* instruction, const void* address, size_t size, Use use) {
    if (reinterpret_cast<uintptr_t>(address) % size != 0) {
        fail_misaligned(call, size, address, use);
    }
    check_bytes(call, instruction, address, size, use);
}

void check_access(const Call& call, const void* address, size_t size, Use use) {
    check_aligned(call, __builtin_return_address(0), address, size, use);
}

}  // namespace emulator

// What -fsanitize=thread calls. g++ moves structures of 16 bytes in one access if they are aligned to
// 8; -fsanitize=alignment checks what is aligned to 16, such as float4.
#define ACCESS(name, size, alignment, use)                                                \
    extern "C" void name(const void* address) {                                           \
        emulator::check(address, size, alignment, use, __builtin_return_address(0));    \
    }

ACCESS(__tsan_read1, 1, 1, emulator::Use::READ)
ACCESS(__tsan_read2, 2, 2, emulator::Use::READ)
ACCESS(__tsan_read4, 4, 4, emulator::Use::READ)
ACCESS(__tsan_read8, 8, 8, emulator::Use::READ)
ACCESS(__tsan_read16, 16, 8, emulator::Use::READ)
ACCESS(__tsan_write1, 1, 1, emulator::Use::WRITE)
ACCESS(__tsan_write2, 2, 2, emulator::Use::WRITE)
ACCESS(__tsan_write4, 4, 4, emulator::Use::WRITE)
ACCESS(__tsan_write8, 8, 8, emulator::Use::WRITE)
ACCESS(__tsan_write16, 16, 8, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_read2, 2, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read4, 4, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read8, 8, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read16, 16, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_write2, 2, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write4, 4, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write8, 8, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write16, 16, 1, emulator::Use::WRITE)

extern "C" void __tsan_read_range(const void* address, size_t size) {
    emulator::check(address, size, 1, emulator::Use::READ, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(const void* address, size_t size) {
    emulator::check(address, size, 1, emulator::Use::WRITE, __builtin_return_address(0));
}
// A constructor sets the pointer to its class's virtual functions.
extern "C" void __tsan_vptr_update(void** address, void*) {
    emulator::check(address, sizeof(void*), sizeof(void*), emulator::Use::WRITE,
                    __builtin_return_address(0));
}
extern "C" void __tsan_func_entry(const void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
