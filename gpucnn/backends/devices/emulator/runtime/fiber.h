// Stackful fibers: a stack of their own and a hand-written switch.
#pragma once

#include <cstddef>

namespace emulator {

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

// A stack with a guard page below it, and a function that runs on it at the first switch to it.
// The function must not return. The fiber may be prepared again at any time, whatever it was at.
class Fiber {
public:
    Fiber();
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    void prepare(void (*function)());
    bool holds(const void* address) const;

    Context context;

private:
    void* mapping_;
    size_t mapping_size_;
    size_t colour_;
};

}  // namespace emulator
