#include "block.h"

#include "stop.h"

#include <cstdarg>
#include <cstdio>
#include <new>

namespace emulator {

constinit thread_local Place place __attribute__((tls_model("initial-exec"))) = {};

namespace {

constinit thread_local BlockRunner* known __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

BlockRunner* known_runner() {
    return known;
}

BlockRunner& this_runner() {
    if (known == nullptr) {
        // Not in thread-local storage itself: of what is found without a call there is little.
        static thread_local const auto runner = std::make_unique<BlockRunner>();
        known = runner.get();
    }
    return *known;
}

BlockRunner::BlockRunner() : main_(context_of_this_thread()) {}

namespace {

// Takes a random element out of a list.
unsigned take(std::vector<unsigned>& list, Shuffle& shuffle) {
    unsigned& chosen = list[shuffle.below(static_cast<unsigned>(list.size()))];
    const unsigned value = chosen;
    chosen = list.back();
    list.pop_back();
    return value;
}

}  // namespace

bool BlockRunner::run(const Kernel& kernel, dim3 grid, dim3 size, uint3 index, uint64_t seed) {
    kernel_ = &kernel;
    place = {{0, 0, 0}, index, size, grid};
    shuffle_ = Shuffle(seed);
    prepare(size.x * size.y * size.z);
    failure.at = failure.other = {};
    failed_ = stuck_ = false;
    checked_ = are_accesses_checked();
    fiber_ = &free_fiber();
    running_ = true;
    switch_context(main_, fiber_->context);
    running_ = false;
    if (short_of_memory_) {  // Others may have more use for it.
        fibers_.clear();
        short_of_memory_ = false;
    }
    if (!failed_ && checked_ && postponed_failure() != nullptr) {
        failure = *postponed_failure();
        failed_ = true;
    }
    return !failed_;
}

// As many threads, none of which has begun.
void BlockRunner::prepare(unsigned count) {
    threads_.assign(count, Thread{State::UNSTARTED, nullptr, nullptr, nullptr});
    unstarted_.resize(count);
    for (unsigned i = 0; i < count; ++i) {
        unstarted_[i] = i;
    }
    const dim3 size = place.block_size;
    if (size.x != indexed_.x || size.y != indexed_.y || indices_.size() < count) {
        indexed_ = size;
        indices_.resize(count);
        for (unsigned i = 0; i < count; ++i) {
            indices_[i] = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
        }
    }
    warps_.resize((count + WARP - 1) / WARP);
    for (Warp& warp : warps_) {
        warp.exited = 0;
        warp.lanes = ~0u;
        warp.groups = 0;
    }
    if (count % WARP != 0) {
        warps_.back().lanes = (1u << count % WARP) - 1;
    }
    ready_.clear();
    in_block_collective_.clear();
    free_.clear();
    for (auto& fiber : fibers_) {
        free_.push_back(fiber.get());
    }
    copies.reset(count);
    exited_ = 0;
    converging_ = 0;
    interval_ = 0;
}

Fiber& BlockRunner::free_fiber() {
    if (free_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>());
        free_.push_back(fibers_.back().get());
    }
    Fiber* fiber = free_.back();
    free_.pop_back();
    fiber->prepare(fiber_main);
    return *fiber;
}

void BlockRunner::fiber_main() {
    entered_fiber();
    BlockRunner& runner = this_runner();
    try {
        runner.run_threads();
    } catch (const std::bad_alloc&) {
        runner.short_of_memory_ = true;
    }
    runner.fail(FailureKind::LAUNCH, NO_MEMORY);
}

// Runs threads to their ends on one fiber, as long as there are any that have not begun: only a
// thread that waits keeps a fiber.
void BlockRunner::run_threads() {
    for (;;) {
        if (!unstarted_.empty()) {
            const unsigned number = take(unstarted_, shuffle_);
            threads_[number].fiber = fiber_;
            resume(number);
            kernel_->entry(kernel_->arguments);
            exit_thread();
            continue;
        }
        free_.push_back(fiber_);
        go_on();
    }
}

// The running thread has left the kernel: others may have waited for nobody else.
void BlockRunner::exit_thread() {
    if (checked_) {
        settle_writes();
    }
    threads_[current_].state = State::EXITED;
    Warp& warp = warps_[current_ / WARP];
    warp.exited |= 1u << current_ % WARP;
    ++exited_;
    if (warp.groups != 0) {  // Most threads leave when nobody waits.
        complete_groups(warp);
    }
    complete_block_collective();
}

void BlockRunner::resume(unsigned number) {
    current_ = number;
    threads_[number].state = State::RUNNING;
    place.thread = indices_[number];
}

// Gives the host's thread to another thread of the block; returns when this one may go on.
void BlockRunner::go_on() {
    Fiber* from = fiber_;
    if (ready_.empty() && unstarted_.empty()) {
        end_convergence();
    }
    const auto choices = static_cast<unsigned>(ready_.size() + unstarted_.size());
    if (choices == 0) {
        if (exited_ < count()) {
            go_to_stuck();
            return;
        }
        fiber_ = nullptr;
        switch_context(from->context, main_);
        return;
    }
    if (shuffle_.below(choices) < ready_.size()) {
        const unsigned number = take(ready_, shuffle_);
        resume(number);
        fiber_ = threads_[number].fiber;
    } else {
        fiber_ = &free_fiber();
    }
    if (fiber_ != from) {
        switch_context(from->context, fiber_->context);
        if (stuck_) {
            report_stuck();
        }
    }
}

void BlockRunner::block_collective(const Call& call, void* operands, Combine combine) {
    if (checked_) {
        settle_writes();
    }
    obey_stop();
    Thread& thread = threads_[current_];
    if (!in_block_collective_.empty()) {
        const unsigned other = in_block_collective_.front();
        if (!same(*threads_[other].call, call)) {
            const uint3 index = indices_[other];
            emulator::fail(call, "divergent barrier: this thread is at %s, thread (%u, %u, %u) at "
                           "%s of %s:%d", call.name, index.x, index.y, index.z,
                           threads_[other].call->name, threads_[other].call->file,
                           threads_[other].call->line);
        }
    }
    thread.call = &call;
    thread.operands = operands;
    thread.state = State::IN_BLOCK_COLLECTIVE;
    combine_ = combine;
    in_block_collective_.push_back(current_);
    complete_block_collective();
    go_on();
}

// Lets the threads that wait at a barrier go on if nobody is missing: threads that have left the
// kernel take no part in it.
void BlockRunner::complete_block_collective() {
    if (in_block_collective_.empty() || in_block_collective_.size() + exited_ < count()) {
        return;
    }
    if (combine_ != nullptr) {
        operands_.clear();
        for (const unsigned number : in_block_collective_) {
            operands_.push_back(threads_[number].operands);
        }
        combine_(operands_.data(), static_cast<unsigned>(operands_.size()));
    }
    for (const unsigned number : in_block_collective_) {
        threads_[number].state = State::READY;
    }
    ready_.insert(ready_.end(), in_block_collective_.begin(), in_block_collective_.end());
    in_block_collective_.clear();
    ++interval_;
    if (checked_ && postponed_failure() != nullptr) {
        leave();
    }
}

// Nothing can move on, and not all have left: the first that waits is to say so, from its place.
void BlockRunner::go_to_stuck() {
    unsigned first = 0;
    while (threads_[first].state == State::EXITED) {
        ++first;
    }
    Fiber* from = fiber_;
    resume(first);
    fiber_ = threads_[first].fiber;
    stuck_ = true;
    if (fiber_ == from) {
        report_stuck();
    }
    switch_context(from->context, fiber_->context);
}

// Who waits where, and why that has no end.
void BlockRunner::report_stuck() {
    unsigned waiting = 0;
    for (const Thread& thread : threads_) {
        waiting += thread.state != State::EXITED;
    }
    const Call& call = *threads_[current_].call;
    for (unsigned i = 0; i < count(); ++i) {
        const Thread& other = threads_[i];
        if (other.state == State::EXITED) {
            const uint3 index = indices_[i];
            emulator::fail(call, "%u of %u threads wait at %s for others that never come: thread "
                           "(%u, %u, %u) has left the kernel", waiting, count(), call.name,
                           index.x, index.y, index.z);
        }
        if (!same(*other.call, call)) {
            const uint3 index = indices_[i];
            emulator::fail(call, "this thread waits at %s, thread (%u, %u, %u) at %s of %s:%d: "
                           "neither can go on", call.name, index.x, index.y, index.z,
                           other.call->name, other.call->file, other.call->line);
        }
    }
    emulator::fail(call, "threads wait at %s with masks that never come together", call.name);
}

void BlockRunner::describe(FailureKind kind, const char* message, const Call* call) {
    const uint3 thread = place.thread;
    const uint3 block = place.block;
    snprintf(failure.message, sizeof failure.message,
             "kernel %s, block (%u, %u, %u), thread (%u, %u, %u): %s", kernel_->name, block.x,
             block.y, block.z, thread.x, thread.y, thread.z, message);
    locate(kind, call);
}

void BlockRunner::fail(FailureKind kind, const char* message, const Call* call) {
    describe(kind, message, call);
    leave();
}

void BlockRunner::fail_race(const char* message, bool in_block, const void* instruction) {
    const uint3 block = place.block;
    if (in_block) {
        snprintf(failure.message, sizeof failure.message, "kernel %s, block (%u, %u, %u): %s",
                 kernel_->name, block.x, block.y, block.z, message);
    } else {
        snprintf(failure.message, sizeof failure.message, "kernel %s: %s", kernel_->name, message);
    }
    failure.kind = FailureKind::RACE;
    failure.at = place_of_return(entry(), instruction);
    leave();
}

// Where the running thread is.
void BlockRunner::locate(FailureKind kind, const Call* call) {
    failure.kind = kind;
    failure.at = {};
    if (call != nullptr) {
        failure.at.file = call->file;
        failure.at.line = call->line;
    }
    locating_ = true;
    add_frames(failure.at, entry());
    locating_ = false;
}

void BlockRunner::leave() {
    const LaunchFailure* postponed = postponed_failure();
    if (postponed != nullptr && failure.kind != FailureKind::RACE) {
        failure = *postponed;
    }
    failed_ = true;
    locating_ = false;
    Context lost;
    fiber_ = nullptr;
    switch_context(lost, main_);
    __builtin_unreachable();
}

bool BlockRunner::on_stack(const void* address) const {
    return fiber_ != nullptr && fiber_->holds(address);
}

bool BlockRunner::is_stack_full(const void* address) const {
    return fiber_ != nullptr && fiber_->guards(address);
}

void block_collective(const Call& call, void* operands, Combine combine) {
    this_runner().block_collective(call, operands, combine);
}

namespace {

[[noreturn]] void fail_with(
    const Call& call, FailureKind kind, const char* format, va_list arguments) {
    char message[1536];
    vsnprintf(message, sizeof message, format, arguments);
    this_runner().fail(kind, message, &call);
}

}  // namespace

void fail(const Call& call, FailureKind kind, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_with(call, kind, format, arguments);
}

void fail(const Call& call, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_with(call, FailureKind::DIVERGENCE, format, arguments);
}

}  // namespace emulator
