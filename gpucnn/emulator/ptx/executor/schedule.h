// Which warp of a block executes next, and which of its lanes.
#pragma once

#include "block.h"

namespace ptx {

// Runs a block to its end.
//
// Lanes of a warp that are at the same instruction are a group, and execute together. Groups that
// diverged come together again because the one at the lowest instruction goes first: compilers lay
// code out so that what follows both sides of a branch comes after them. A group that has been going
// round a loop for long lets the others go on, which it may wait for.
//
// A group that reaches an instruction of several lanes waits there until all of them have come. If
// no group of any warp can go on, that is reported as what its lanes wait for.
class Schedule {
public:
    explicit Schedule(Block& block) : block_(block) {}

    // Executes up to `instructions` of some warp. Returns false if the block has ended.
    bool advance(unsigned instructions);

private:
    void run(Warp& warp, unsigned instructions);
    size_t next_group(Warp& warp);
    void merge(Warp& warp);
    void jump(Warp& warp, size_t group, uint32_t lanes, uint32_t pc);
    void control(Warp& warp, size_t group, const Instruction& i, uint32_t active);
    void branch_by_index(Warp& warp, size_t group, const Instruction& i, uint32_t active);
    void call(Warp& warp, size_t group, const Instruction& i, uint32_t active);
    void return_to_caller(Warp& warp, size_t group, const Instruction& i, uint32_t active);
    void exit(Warp& warp, size_t group, uint32_t lanes);
    void wait(Warp& warp, size_t group, const Instruction& i, uint32_t active);
    void resolve_collectives(Warp& warp);
    uint32_t named_lanes(const Warp& warp, const Instruction& i, unsigned lane) const;
    void check_stuck(Warp& warp);

    // Barriers (barriers.cpp)
    void arrive(Warp& warp);
    void arrive_without_waiting(Warp& warp, const Instruction& i, uint32_t active);
    void count_arrival(Warp& warp, const Instruction& i, uint32_t lanes);
    void release(unsigned barrier);
    void release_complete_barriers();
    unsigned barrier_of(const Warp& warp, const Instruction& i, unsigned lane) const;
    bool can_run(const Warp& warp) const;
    [[noreturn]] void report_deadlock();

    Block& block_;
    unsigned patience_ = 0;
};

// Lanes are not where they should be; the words are for messages.py.
[[noreturn]] inline void diverged(unsigned lane, std::string text, int64_t other_pc = -1,
                                  int64_t other_thread = -1) {
    throw Failure{DIVERGENCE, lane, std::move(text), other_pc, other_thread};
}

}  // namespace ptx
