// Signals of a kernel's mistakes. A fault of the processor inside a kernel fails the launch, and the
// process lives on. What still ends the process, because a kernel has damaged memory of the C library
// or of Python, does so with a sentence that names the kernel.
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "launch.h"
#include "surroundings.h"

namespace emulator {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
#else
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#endif
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

void suspect(const char*) {}

#else

namespace {

// The kernel that was last launched without checks of its accesses.
char last_unchecked[128] = "";

void say(const char* text) {
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t written = write(STDERR_FILENO, text, left);
        if (written <= 0) {
            return;
        }
        text += written;
        left -= static_cast<size_t>(written);
    }
}

// Before the process ends.
void say_suspect(int signal, bool in_kernel) {
    if (last_unchecked[0] == '\0') {
        return;
    }
    char text[768];
    const uint3 block = place.block, thread = place.thread;
    if (in_kernel) {
        snprintf(text, sizeof text,
                 "emulator: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): the C library ends the "
                 "process, because memory is damaged, or freed twice%s\n",
                 last_unchecked, block.x, block.y, block.z, thread.x, thread.y, thread.z,
                 SEARCH_ADVICE);
    } else {
        snprintf(text, sizeof text,
                 "emulator: the process ends by the signal %s; if a kernel has damaged its memory, the "
                 "last one in fast mode was kernel %s%s\n",
                 sigabbrev_np(signal), last_unchecked, SEARCH_ADVICE);
    }
    say(text);
}

// As if the handler were not there: a fault happens again when the instruction is tried again.
void pass_on(int signal) {
    sigaction(signal, &earlier[signal], nullptr);
    if (signal == SIGABRT) {
        raise(SIGABRT);
    }
}

// Why the processor could not carry out an access.
void describe_access(const siginfo_t& information, char* text, size_t text_bytes) {
    const int length = snprintf(text, text_bytes, "out-of-bounds access" EMULATOR_AT);
    char* const rest = text + length;
    const size_t room = text_bytes - static_cast<size_t>(length);
    if (information.si_code == SI_KERNEL) {
        snprintf(rest, room, ": no process has such an address, or it is misaligned");
    } else if (!is_beyond_dynamic(information.si_addr, rest, room) &&
               !is_beside_array(information.si_addr, rest, room)) {
        snprintf(rest, room, ": address %p is in no memory of the process", information.si_addr);
    }
}

void handle(int signal, siginfo_t* information, void* context) {
    BlockRunner* runner = known_runner();
    const bool in_kernel = runner != nullptr && runner->running();
    // The C library may hold a lock when it gives up, so the kernel cannot be left.
    if (!in_kernel || signal == SIGABRT) {
        say_suspect(signal, in_kernel);
        pass_on(signal);
        return;
    }
    if (runner->is_locating()) {  // On a damaged stack.
        runner->leave();
    }
    char message[512];
    if (signal == SIGFPE) {
        runner->fail(FailureKind::UNDEFINED_BEHAVIOUR, "division by zero");
    } else if (signal == SIGILL) {
        runner->fail(FailureKind::UNDEFINED_BEHAVIOUR,
                     "an instruction that no processor has: __builtin_trap, or code that the compiler "
                     "takes for unreachable");
    } else if (runner->is_stack_full(information->si_addr)) {
        snprintf(message, sizeof message, "the thread's stack of %zu KiB is full",
                 STACK_BYTES / 1024);
        runner->fail(FailureKind::STACK_OVERFLOW, message);
    }
    describe_access(*information, message, sizeof message);
    runner->fail(FailureKind::OUT_OF_BOUNDS, message);
}

}  // namespace

void catch_faults() {
    static const bool installed = [] {
        catch_with(handle);
        return true;
    }();
    (void)installed;
}

void suspect(const char* kernel) {
    strncpy(last_unchecked, kernel, sizeof last_unchecked - 1);
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
