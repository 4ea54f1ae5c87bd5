// Stackful fibers: a stack of their own and a hand-written switch.
#pragma once

#include <cstddef>

namespace emulator {

// Of a fiber's stack, of which memory is taken as it is used. The sanitizer puts red zones around
// every variable.
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK_BYTES = 4 * 1024 * 1024;
#else
constexpr size_t STACK_BYTES = 1024 * 1024;
#endif

// What to say where there is none.
constexpr char NO_MEMORY[] =
    "no memory for the stacks of its threads; allow the process more, or use fewer workers";

// How many threads of the host may have the stacks of a block of 1024 threads each: mappings of
// memory are limited (vm.max_map_count), and before Linux 6.13 each guard is one.
unsigned most_workers();

// What a switch leaves behind: the stack pointer, all else lies on the stack.
struct Context {
    void* stack_pointer = nullptr;
    // The stack's lowest address and size, for the address sanitizer.
    void* stack = nullptr;
    size_t size = 0;
};

// The running thread's own stack.
Context context_of_this_thread();

// The first thing that a fiber's function calls.
void entered_fiber();

// Saves the running context in `from` and goes on with `to`.
void switch_context(Context& from, Context& to);

// A stack with a guard below it, which no function can step over, and a function that runs on it at
// the first switch to it. The function must not return. The fiber may be prepared again at any
// time, whatever it was at.
class Fiber {
public:
    Fiber();
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    void prepare(void (*function)());
    bool holds(const void* address) const;
    // Whether an address lies in the guard below the stack.
    bool guards(const void* address) const;

    Context context;

private:
    char* mapping_;
    size_t colour_;
};

}  // namespace emulator
