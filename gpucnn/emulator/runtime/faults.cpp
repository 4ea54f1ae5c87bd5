// Faults of the processor inside a kernel: the launch fails, the process lives on.
#include <signal.h>
#include <ucontext.h>

#include <cstdio>
#include <memory>

#include "launch.h"
#include "surroundings.h"

namespace emulator {

namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
constexpr size_t SIGNAL_STACK_BYTES = 64 * 1024;
struct sigaction earlier[NSIG];

void catch_with(void (*handler)(int, siginfo_t*, void*)) {
    for (const int signal : SIGNALS) {
        struct sigaction action = {};
        action.sa_sigaction = handler;
        // The handler leaves by a switch of stacks, so the signal must not stay blocked.
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigaction(signal, &action, &earlier[signal]);
    }
}

}  // namespace

const void* interrupted_instruction(void* context) {
#if defined(__x86_64__)
    const auto* state = static_cast<ucontext_t*>(context);
    return reinterpret_cast<const void*>(state->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
    const auto* state = static_cast<ucontext_t*>(context);
    return reinterpret_cast<const void*>(state->uc_mcontext.pc);
#else
    (void)context;
    return nullptr;
#endif
}

#if defined(__SANITIZE_ADDRESS__)

namespace {

const void* faulted = nullptr;

// The sanitizer reports it itself.
void note(int signal, siginfo_t* information, void* context) {
    faulted = information->si_addr;
    earlier[signal].sa_sigaction(signal, information, context);
}

}  // namespace

void catch_faults() {
    catch_with(note);
}

const void* faulting_address() {
    return faulted;
}

#else

namespace {

void handle(int signal, siginfo_t* information, void* context) {
    BlockRunner* runner = known_runner();
    if (runner == nullptr || !runner->running()) {
        // Not ours: as if this handler were not there, when the instruction is tried again.
        sigaction(signal, &earlier[signal], nullptr);
        return;
    }
    char message[256] = "access";
    FailureKind kind = FailureKind::OUT_OF_BOUNDS;
    if (signal == SIGFPE) {
        kind = FailureKind::UNDEFINED_BEHAVIOUR;
        snprintf(message, sizeof message, "division by zero");
    } else if (runner->is_stack_full(information->si_addr)) {
        kind = FailureKind::STACK_OVERFLOW;
        snprintf(message, sizeof message, "the thread's stack of %zu KiB is full",
                 STACK_BYTES / 1024);
    } else if (!is_beyond_dynamic(information->si_addr, message + 6, sizeof message - 6)) {
        snprintf(message, sizeof message,
                 "access to address %p, which is out of bounds or not aligned as its type needs",
                 information->si_addr);
    }
    runner->fail(kind, message);
}

}  // namespace

void catch_faults() {
    static const bool installed = [] {
        catch_with(handle);
        return true;
    }();
    (void)installed;
}

#endif

void use_signal_stack() {
    static thread_local const auto memory = std::make_unique<char[]>(SIGNAL_STACK_BYTES);
    static thread_local bool used = false;
    if (!used) {
        stack_t stack = {};
        stack.ss_sp = memory.get();
        stack.ss_size = SIGNAL_STACK_BYTES;
        sigaltstack(&stack, nullptr);
        used = true;
    }
}

}  // namespace emulator
