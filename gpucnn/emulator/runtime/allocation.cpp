// What race mode's modules call in place of new and malloc (the builder has the linker do so): the
// memory would be in no array of the launch.
#include <cstdlib>
#include <new>

#include "launch.h"

namespace emulator {

namespace {

void refuse_in_kernel(const char* function) {
    BlockRunner* runner = known_runner();
    if (runner != nullptr && runner->running()) {
        const Call call = {function, nullptr, 0, 0};
        fail(call, FailureKind::UNSUPPORTED,
             "%s: race mode cannot follow what a kernel allocates; pass it an array", function);
    }
}

}  // namespace

}  // namespace emulator

extern "C" {

void* __wrap_malloc(size_t size) {
    emulator::refuse_in_kernel("malloc");
    return malloc(size);
}

// operator new and operator new[] of a size_t.
void* __wrap__Znwm(size_t size) {
    emulator::refuse_in_kernel("new");
    return operator new(size);
}

void* __wrap__Znam(size_t size) {
    emulator::refuse_in_kernel("new[]");
    return operator new[](size);
}

}  // extern "C"
