// Collectives of a warp: which lanes wait for which, and when they go on.
//
// A lane that arrives joins the group of its call and mask. A group is complete when all lanes of its
// mask are there that exist and, where CUDA does not need them, have not left the kernel.
#include "block.h"

#include "stop.h"

namespace emulator {

void BlockRunner::warp_collective(
    const Call& call, unsigned mask, void* operands, CombineLanes combine, Left left) {
    if (checked_) {
        settle_writes();
    }
    obey_stop();
    Warp& warp = warps_[current_ / WARP];
    const unsigned lane = current_ % WARP;
    if ((mask >> lane & 1) == 0) {
        emulator::fail(call, "%s with mask 0x%08x, which does not name the calling lane %u",
                       call.name, mask, lane);
    }
    if (left == Left::REFUSED && (mask & warp.exited) != 0) {
        emulator::fail(call, "%s with mask 0x%08x names lane %d, which has left the kernel",
                       call.name, mask, __builtin_ctz(mask & warp.exited));
    }
    Thread& thread = threads_[current_];
    thread.call = &call;
    thread.operands = operands;
    thread.state = State::IN_WARP_COLLECTIVE;
    // Mostly all lanes meet at one call, one after the other.
    Group& first = warp.group[0];
    if (warp.groups == 1 && first.call == &call && first.mask == mask) {
        first.arrived |= 1u << lane;
    } else {
        join_group(warp, {&call, mask, 1u << lane, combine, left});
    }
    complete_groups(warp);
    go_on();
}

// Adds a lane to the group that waits at this call with this mask.
//
// Groups of other calls or masks may wait for this lane, too: it reaches them after this one. But if
// this one then needs a lane that waits there, neither can be completed.
void BlockRunner::join_group(Warp& warp, const Group& lane) {
    Group* joined = nullptr;
    for (unsigned i = 0; i < warp.groups; ++i) {
        Group& group = warp.group[i];
        if (group.mask == lane.mask && same(*group.call, *lane.call)) {
            joined = &group;
        } else if ((group.mask & lane.arrived) != 0 && (group.arrived & lane.mask) != 0) {
            emulator::fail(*lane.call, "%s with mask 0x%08x, but lane %d waits at %s with mask "
                           "0x%08x at %s:%d", lane.call->name, lane.mask,
                           __builtin_ctz(group.arrived & lane.mask), group.call->name, group.mask,
                           group.call->file, group.call->line);
        }
    }
    if (joined == nullptr) {
        warp.group[warp.groups++] = lane;
    } else {
        joined->arrived |= lane.arrived;
    }
}

// Lets the lanes go on that wait for nobody any more.
void BlockRunner::complete_groups(Warp& warp) {
    for (unsigned i = warp.groups; i-- > 0;) {
        Group& group = warp.group[i];
        const unsigned passed_over = group.left == Left::PASSED_OVER ? warp.exited : 0;
        if (group.arrived == (group.mask & warp.lanes & ~passed_over)) {
            complete(warp, group);
        }
    }
}

void BlockRunner::complete(Warp& warp, Group& group) {
    const unsigned first = current_ / WARP * WARP;
    void* lanes[WARP] = {};
    for (unsigned left = group.arrived; left != 0; left &= left - 1) {
        const unsigned lane = static_cast<unsigned>(__builtin_ctz(left));
        lanes[lane] = threads_[first + lane].operands;
    }
    if (group.combine != nullptr) {
        group.combine(lanes);
    } else {
        order_lanes(first, group.arrived);
    }
    for (unsigned left = group.arrived; left != 0; left &= left - 1) {
        const unsigned number = first + static_cast<unsigned>(__builtin_ctz(left));
        threads_[number].state = State::READY;
        ready_.push_back(number);
    }
    group = warp.group[--warp.groups];
}

unsigned BlockRunner::converge(const Call& call) {
    obey_stop();
    unsigned lanes = 0;
    Thread& thread = threads_[current_];
    thread.call = &call;
    thread.operands = &lanes;
    thread.state = State::CONVERGING;
    ++converging_;
    go_on();
    return lanes;
}

// No thread can go on but those that converge, so no more will join them.
void BlockRunner::end_convergence() {
    for (unsigned i = 0; converging_ > 0; ++i) {
        if (threads_[i].state != State::CONVERGING) {
            continue;
        }
        const unsigned first = i / WARP * WARP;
        unsigned lanes = 0;
        for (unsigned j = i; j < count() && j < first + WARP; ++j) {
            if (threads_[j].state == State::CONVERGING &&
                same(*threads_[j].call, *threads_[i].call)) {
                lanes |= 1u << (j - first);
            }
        }
        for (unsigned left = lanes; left != 0; left &= left - 1) {
            const unsigned number = first + static_cast<unsigned>(__builtin_ctz(left));
            *static_cast<unsigned*>(threads_[number].operands) = lanes;
            threads_[number].state = State::READY;
            ready_.push_back(number);
            --converging_;
        }
    }
}

void warp_collective(
    const Call& call, unsigned mask, void* operands, CombineLanes combine, Left left) {
    this_runner().warp_collective(call, mask, operands, combine, left);
}

unsigned converge(const Call& call) {
    return this_runner().converge(call);
}

bool has_left(unsigned lane) {
    return this_runner().has_left(lane);
}

unsigned lane() {
    return this_runner().current() % WARP;
}

}  // namespace emulator
