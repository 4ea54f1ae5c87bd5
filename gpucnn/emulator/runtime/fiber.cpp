#include "fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

// Machines whose registers are known here have a switch of their own; the others, and whoever
// defines this, the C library's contexts.
#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(EMULATOR_UCONTEXT)
#define EMULATOR_UCONTEXT
#endif
#if defined(EMULATOR_UCONTEXT)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

namespace {

// As large as compilers take it for (-fstack-clash-protection): 64 KiB on AArch64.
constexpr size_t GUARD_BYTES = 64 * 1024;

// Linux' MADV_GUARD_INSTALL, which older headers do not name.
constexpr int GUARD_INSTALL = 102;

bool guard(void* begin) {
    return madvise(begin, GUARD_BYTES, GUARD_INSTALL) == 0 ||
           mprotect(begin, GUARD_BYTES, PROT_NONE) == 0;
}

// Stacks begin at different places within a page, or all of them would fight for the same few
// lines of the cache.
constexpr size_t COLOUR_BYTES = 7 * 64;
constexpr size_t PAGE = 4096;

}  // namespace

// emulator_swap_stacks(save, load) pushes the registers that a function must preserve, stores the
// stack pointer to *save, takes `load` for it, and pops them again.
#if defined(EMULATOR_UCONTEXT)

namespace {

// The context lies at the stack's upper end, and the stack below it.
void* first_frame(char* bottom, char* top, void (*function)()) {
    auto* context = reinterpret_cast<ucontext_t*>(top - (sizeof(ucontext_t) + 63) / 64 * 64);
    if (getcontext(context) != 0) {
        abort();
    }
    context->uc_stack.ss_sp = bottom;
    context->uc_stack.ss_size = reinterpret_cast<char*>(context) - bottom;
    context->uc_link = nullptr;
    makecontext(context, function, 0);
    return context;
}

// Some ten times slower than the others: it asks the system for the mask of signals.
void emulator_swap_stacks(void** save, void* load) {
    ucontext_t here;
    *save = &here;
    swapcontext(&here, static_cast<ucontext_t*>(load));
}

}  // namespace

#elif defined(__x86_64__)

asm(R"(
.text
.hidden emulator_swap_stacks
.globl emulator_swap_stacks
.type emulator_swap_stacks, @function
emulator_swap_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_swap_stacks, . - emulator_swap_stacks
)");

namespace {

// The function finds the stack as after a call: its return address lies 8 bytes off a multiple
// of 16.
void* first_frame(char*, char* top, void (*function)()) {
    auto* frame = reinterpret_cast<uintptr_t*>(top) - 8;
    for (int i = 0; i < 6; ++i) {
        frame[i] = 0;
    }
    frame[6] = reinterpret_cast<uintptr_t>(function);
    frame[7] = 0;
    return frame;
}

}  // namespace

#elif defined(__aarch64__)

asm(R"(
.text
.hidden emulator_swap_stacks
.globl emulator_swap_stacks
.type emulator_swap_stacks, %function
emulator_swap_stacks:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size emulator_swap_stacks, . - emulator_swap_stacks
)");

namespace {

void* first_frame(char*, char* top, void (*function)()) {
    auto* frame = reinterpret_cast<uintptr_t*>(top) - 20;
    for (int i = 0; i < 20; ++i) {
        frame[i] = 0;
    }
    frame[11] = reinterpret_cast<uintptr_t>(function);
    return frame;
}

}  // namespace

#endif

#if !defined(EMULATOR_UCONTEXT)
extern "C" void emulator_swap_stacks(void** save, void* load);
#endif

Context context_of_this_thread() {
    Context context;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &context.stack, &context.size);
        pthread_attr_destroy(&attributes);
    }
    return context;
}

void entered_fiber() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

void switch_context(Context& from, Context& to) {
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.size);
    emulator_swap_stacks(&from.stack_pointer, to.stack_pointer);
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#else
    emulator_swap_stacks(&from.stack_pointer, to.stack_pointer);
#endif
}

Fiber::Fiber() {
    void* const mapping = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        throw std::bad_alloc();
    }
    mapping_ = static_cast<char*>(mapping);
    // A huge page would take far more than a thread uses.
    madvise(mapping_, GUARD_BYTES + STACK_BYTES, MADV_NOHUGEPAGE);
    if (!guard(mapping_)) {
        munmap(mapping_, GUARD_BYTES + STACK_BYTES);
        throw std::bad_alloc();
    }
    context.stack = mapping_ + GUARD_BYTES;
    context.size = STACK_BYTES;
    static std::atomic<size_t> made{0};
    colour_ = made++ * COLOUR_BYTES % PAGE;
}

Fiber::~Fiber() {
    munmap(mapping_, GUARD_BYTES + STACK_BYTES);
}

void Fiber::prepare(void (*function)()) {
    char* const bottom = static_cast<char*>(context.stack);
    char* const top = bottom + STACK_BYTES - colour_;
#if defined(__SANITIZE_ADDRESS__)
    // The runtime's own functions that were left for good have left their red zones behind; a
    // kernel that was left so has ended the process.
    __asan_unpoison_memory_region(bottom + STACK_BYTES - 4 * PAGE, 4 * PAGE);
#endif
    context.stack_pointer = first_frame(bottom, top, function);
}

bool Fiber::guards(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(mapping_) <
           GUARD_BYTES;
}

unsigned most_workers() {
    static const unsigned most = [] {
        Fiber probe;
        if (madvise(probe.context.stack, PAGE, GUARD_INSTALL) == 0) {
            return ~0u;
        }
        unsigned mappings = 65530;
        if (FILE* file = fopen("/proc/sys/vm/max_map_count", "r")) {
            if (fscanf(file, "%u", &mappings) != 1) {
                mappings = 65530;
            }
            fclose(file);
        }
        // A quarter is left to others.
        return std::max(1u, mappings / 4 * 3 / (2 * 1024));
    }();
    return most;
}

bool Fiber::holds(const void* address) const {
    const auto offset = reinterpret_cast<uintptr_t>(address) -
                        reinterpret_cast<uintptr_t>(context.stack);
    return offset < context.size;
}

}  // namespace emulator
