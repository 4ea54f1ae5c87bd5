// Functions of the C library that a kernel must not call as the host's programs do: the builder has
// the linker put these in their places. They allocate memory that race mode would not know, or end the
// process, as the compiler's own check of the stack does, too.
#include <cstdlib>
#include <new>

#include <unistd.h>

#include "launch.h"

namespace emulator {

namespace {

bool in_kernel() {
    BlockRunner* runner = known_runner();
    return runner != nullptr && runner->running();
}

void refuse_allocation(const char* function) {
    if (in_kernel() && are_accesses_checked()) {
        const Call call = {function, nullptr, 0, 0};
        fail(call, FailureKind::UNSUPPORTED,
             "%s: race mode cannot follow what a kernel allocates; pass it an array", function);
    }
}

void refuse_end(const char* function) {
    if (in_kernel()) {
        const Call call = {function, nullptr, 0, 0};
        fail(call, FailureKind::ASSERTION_FAILED, "%s has ended the kernel", function);
    }
}

// What comes after a local array is overwritten, and with it where the function would return to.
void refuse_damaged_stack() {
    if (in_kernel()) {
        const Call call = {"a local array", nullptr, 0, 0};
        fail(call, FailureKind::OUT_OF_BOUNDS, "out-of-bounds write beyond the end of a local array%s",
             SEARCH_ADVICE);
    }
}

}  // namespace

}  // namespace emulator

extern "C" {

void* __wrap_malloc(size_t size) {
    emulator::refuse_allocation("malloc");
    return malloc(size);
}

// operator new and operator new[] of a size_t.
void* __wrap__Znwm(size_t size) {
    emulator::refuse_allocation("new");
    return operator new(size);
}

void* __wrap__Znam(size_t size) {
    emulator::refuse_allocation("new[]");
    return operator new[](size);
}

void __wrap_abort() {
    emulator::refuse_end("abort");
    abort();
}

void __wrap_exit(int status) {
    emulator::refuse_end("exit");
    exit(status);
}

void __wrap__exit(int status) {
    emulator::refuse_end("_exit");
    _exit(status);
}

void __wrap___stack_chk_fail() {
    emulator::refuse_damaged_stack();
    abort();
}

}  // extern "C"
