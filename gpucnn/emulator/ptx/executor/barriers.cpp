// Barriers of a block.
#include <algorithm>

#include "schedule.h"

namespace ptx {

unsigned Schedule::barrier_of(const Warp& warp, const Instruction& i, unsigned lane) const {
    const uint32_t number = i.operand[0] == NONE ? 0 : warp.in<uint32_t>(i, 0)[lane];
    if (number >= block_.barriers.size()) {
        throw Failure{OUT_OF_BOUNDS, lane, "barrier|" + std::to_string(number)};
    }
    return number;
}

// Operands of a barrier: its number, the number of threads, a predicate to be counted, and where to
// put the result: a register or a predicate.
void Schedule::count_arrival(Warp& warp, const Instruction& i, uint32_t lanes) {
    const unsigned lane = unsigned(std::countr_zero(lanes));
    Barrier& barrier = block_.barriers[barrier_of(warp, i, lane)];
    if (i.operand[1] != NONE) {
        const uint32_t expected = warp.in<uint32_t>(i, 1)[lane];
        if (expected == 0 || expected % LANES != 0) {
            diverged(lane, "count|" + std::to_string(expected));
        }
        if (barrier.expected != 0 && barrier.expected != expected) {
            diverged(lane, "counts|" + std::to_string(expected) + "|" +
                               std::to_string(barrier.expected));
        }
        barrier.expected = expected;
    }
    barrier.arrived_warps |= 1u << warp.index;
    barrier.arrived_threads += LANES;
    if (i.control != ARRIVAL && i.operand[2] != NONE) {
        barrier.ones += std::popcount(warp.predicate(i, 2) & lanes);
        barrier.votes += std::popcount(lanes);
    }
}

void Schedule::arrive(Warp& warp) {
    const Instruction* code = block_.program->code.data();
    warp.pc = warp.groups.front().pc;
    const Instruction& i = code[warp.pc];
    const unsigned number = barrier_of(warp, i, unsigned(std::countr_zero(warp.live)));
    if (warp.arrived) {
        return;
    }
    warp.arrived = true;
    block_.barriers[number].waiting_warps |= 1u << warp.index;
    count_arrival(warp, i, warp.live);
    release_complete_barriers();
}

void Schedule::arrive_without_waiting(Warp& warp, const Instruction& i, uint32_t active) {
    if (active != warp.live) {
        diverged(unsigned(std::countr_zero(active)), "barrier|" + std::to_string(active));
    }
    count_arrival(warp, i, active);
    release_complete_barriers();
}

void Schedule::release_complete_barriers() {
    uint32_t live = 0;
    for (const Warp& warp : block_.warps) {
        live |= uint32_t(warp.live != 0) << warp.index;
    }
    for (unsigned number = 0; number < block_.barriers.size(); ++number) {
        const Barrier& barrier = block_.barriers[number];
        const bool is_complete = barrier.expected
                                     ? barrier.arrived_threads >= barrier.expected
                                     : barrier.waiting_warps && barrier.waiting_warps == live;
        if (is_complete) {
            release(number);
        }
    }
}

void Schedule::release(unsigned number) {
    const Barrier barrier = block_.barriers[number];
    block_.barriers[number] = {};
    block_.shared.join_warps(barrier.arrived_warps);
    for_lanes(barrier.waiting_warps, [&](unsigned index) {
        Warp& warp = block_.warps[index];
        warp.arrived = false;
        for (Group& group : warp.groups) {
            const Instruction& i = block_.program->code[group.pc];
            warp.barrier_ones = uint32_t(barrier.ones);
            warp.barrier_votes = uint32_t(barrier.votes);
            if (i.run) {
                i.run(warp, i, group.lanes);
            }
            group.waits = false;
            ++group.pc;
        }
    });
}

void Schedule::report_deadlock() {
    const Instruction* code = block_.program->code.data();
    for (Warp& warp : block_.warps) {
        if (!warp.live) {
            continue;
        }
        warp.pc = warp.groups.front().pc;
        const unsigned lane = unsigned(std::countr_zero(warp.groups.front().lanes));
        const Instruction& i = code[warp.pc];
        const unsigned number = barrier_of(warp, i, lane);
        block_.running_warp = warp.index;
        for (const Warp& other : block_.warps) {
            const bool waits_elsewhere =
                other.live && !(block_.barriers[number].waiting_warps >> other.index & 1);
            if (waits_elsewhere) {
                diverged(lane, "deadlock|" + std::to_string(number), other.groups.front().pc,
                         other.thread(unsigned(std::countr_zero(other.live))));
            }
        }
        diverged(lane, "deadlock|" + std::to_string(number));
    }
    diverged(0, "deadlock|0");
}

}  // namespace ptx
