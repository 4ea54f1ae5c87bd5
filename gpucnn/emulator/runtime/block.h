// One block of threads: who runs, who waits for whom, and what is wrong with that.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "../include/interface.h"
#include "async_copy.h"
#include "fiber.h"
#include "place.h"

namespace emulator {

constexpr unsigned WARP = 32;

// A sequence that a seed decides (splitmix64: Steele, Lea, Flood 2014).
class Shuffle {
public:
    explicit Shuffle(uint64_t seed = 0) : state_(seed) {}
    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    // A number below `count`.
    unsigned below(unsigned count) {
        return static_cast<unsigned>(((next() >> 32) * count) >> 32);
    }

private:
    uint64_t state_;
};

enum class State : uint8_t {
    UNSTARTED,
    READY,
    RUNNING,
    IN_BLOCK_COLLECTIVE,
    IN_WARP_COLLECTIVE,
    CONVERGING,
    EXITED,
};

struct Thread {
    State state;
    Fiber* fiber;
    const Call* call;
    void* operands;
};

// Lanes of a warp that wait for each other.
struct Group {
    const Call* call;
    unsigned mask;
    unsigned arrived;
    CombineLanes combine;
    Left left;
};

struct Warp {
    unsigned exited = 0;
    // Lanes that exist: the last warp of a block may have fewer than 32.
    unsigned lanes = 0;
    // A lane waits in one group, so there are never more.
    unsigned groups = 0;
    Group group[WARP];
};

// What a block does at each thread.
struct Kernel {
    const char* name;
    void (*entry)(const char* arguments);
    const char* arguments;
};

// In a message: where the line of the failing access belongs, and that of the other one. Only Python
// finds lines, and puts " at FILE:LINE" there; without AT it does so at the end.
#define EMULATOR_AT "\1"
#define EMULATOR_OTHER "\2"

// Why a launch failed.
struct LaunchFailure {
    char message[2048];
    FailureKind kind;
    // What failed, and what it is at odds with.
    SourcePlace at;
    SourcePlace other;
};

// Runs blocks one after another on one thread of the host.
class BlockRunner {
public:
    BlockRunner();

    // Runs a whole block; false if it failed (`failure` then says why).
    bool run(const Kernel& kernel, dim3 grid, dim3 size, uint3 index, uint64_t seed);

    void block_collective(const Call& call, void* operands, Combine combine);
    void warp_collective(
        const Call& call, unsigned mask, void* operands, CombineLanes combine, Left left);
    unsigned converge(const Call& call);
    bool has_left(unsigned lane) const { return (warps_[current_ / WARP].exited >> lane & 1) != 0; }
    // Leaves the block for good; the message is prefixed with the running thread, `failure.at` is
    // where it is.
    [[noreturn]] void fail(FailureKind kind, const char* message, const Call* call = nullptr);
    // The same for a race, whose message names the threads, and the blocks too if they are two.
    [[noreturn]] void fail_race(const char* message, bool in_block, const void* instruction);
    // Only describes it in `failure`.
    void describe(FailureKind kind, const char* message, const Call* call = nullptr);
    // Leaves the block for good because of `failure`.
    [[noreturn]] void leave();

    unsigned current() const { return current_; }
    unsigned count() const { return static_cast<unsigned>(threads_.size()); }
    uint3 index(unsigned number) const { return indices_[number]; }
    // Barriers that the whole block has passed.
    uint32_t interval() const { return interval_; }
    bool on_stack(const void* address) const;
    // Whether an address lies where the running thread's stack would go on if it were larger.
    bool is_stack_full(const void* address) const;
    bool running() const { return running_; }
    // Whether it is looking for the place of a failure, on a stack that may be damaged.
    bool is_locating() const { return locating_; }
    const void* entry() const { return reinterpret_cast<const void*>(kernel_->entry); }

    LaunchFailure failure;
    AsyncCopies copies;
    Shuffle& shuffle() { return shuffle_; }

private:
    void join_group(Warp& warp, const Group& lane);
    void complete_groups(Warp& warp);
    void complete(Warp& warp, Group& group);
    void end_convergence();

    static void fiber_main();
    void run_threads();
    void exit_thread();
    void go_on();
    void complete_block_collective();
    void prepare(unsigned count);
    void resume(unsigned number);
    Fiber& free_fiber();
    void go_to_stuck();
    void locate(FailureKind kind, const Call* call);
    [[noreturn]] void report_stuck();

    const Kernel* kernel_ = nullptr;
    std::vector<Thread> threads_;
    // threadIdx of each thread, for blocks of `indexed_` threads along x and y.
    std::vector<uint3> indices_;
    dim3 indexed_ = {0, 0, 0};
    std::vector<Warp> warps_;
    std::vector<unsigned> ready_;
    std::vector<unsigned> unstarted_;
    std::vector<unsigned> in_block_collective_;
    Combine combine_ = nullptr;
    std::vector<void*> operands_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> free_;
    Fiber* fiber_ = nullptr;
    Context main_;
    Shuffle shuffle_;
    unsigned current_ = 0;
    unsigned exited_ = 0;
    unsigned converging_ = 0;
    uint32_t interval_ = 0;
    bool running_ = false;
    bool failed_ = false;
    bool locating_ = false;
    // In race mode.
    bool checked_ = false;
    bool stuck_ = false;
    bool short_of_memory_ = false;
};

// Whether two calls are the same place in the source.
inline bool same(const Call& a, const Call& b) {
    return &a == &b || (a.number == b.number && a.line == b.line &&
                        (a.file == b.file || strcmp(a.file, b.file) == 0));
}

// Race mode: these lanes of the warp that begins with thread `first` have met at a __syncwarp.
void order_lanes(unsigned first, uint32_t lanes);

// Whether the running launch is one of race mode.
bool are_accesses_checked();

// Race mode: whether the running thread's last writes were races is decided, before another thread
// runs.
void settle_writes();

// Race mode: a read of unwritten memory that is to fail the block unless a race turns out to be its
// cause; null for none.
const LaunchFailure* postponed_failure();

// The runner of this thread of the host, made at the first call.
BlockRunner& this_runner();
// The same; null as long as it has not been made.
BlockRunner* known_runner();

}  // namespace emulator
