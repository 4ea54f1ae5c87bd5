#include "schedule.h"

#include <algorithm>

namespace ptx {
namespace {

constexpr size_t NO_GROUP = SIZE_MAX;
constexpr unsigned PATIENCE = 4096;
constexpr uint32_t NOWHERE = UINT32_MAX;

bool is_collective(const Instruction& i) {
    return i.control == COLLECTIVE || i.control == WHOLE_WARP;
}

uint32_t guarded(const Warp& w, const Instruction& i, uint32_t lanes) {
    if (i.guard == NONE) {
        return lanes;
    }
    const uint32_t value = *reinterpret_cast<const uint32_t*>(w.registers + i.guard);
    return lanes & (i.is_guard_negated ? ~value : value);
}

}  // namespace

bool Schedule::can_run(const Warp& warp) const {
    return std::any_of(warp.groups.begin(), warp.groups.end(),
                       [](const Group& group) { return !group.waits; });
}

bool Schedule::advance(unsigned instructions) {
    std::vector<unsigned> ready;
    bool is_over = true;
    for (const Warp& warp : block_.warps) {
        is_over = is_over && !warp.live;
        if (warp.live && can_run(warp)) {
            ready.push_back(warp.index);
        }
    }
    if (is_over) {
        return false;
    }
    if (ready.empty()) {
        report_deadlock();
    }
    run(block_.warps[ready[block_.random.below(unsigned(ready.size()))]], instructions);
    return true;
}

// The runnable group with the lowest instruction; now and then another one, if the lowest has been
// executing for so long that it may wait for that.
size_t Schedule::next_group(Warp& warp) {
    size_t found = NO_GROUP;
    for (size_t k = 0; k < warp.groups.size(); ++k) {
        const Group& group = warp.groups[k];
        if (!group.waits && (found == NO_GROUP || group.pc < warp.groups[found].pc)) {
            found = k;
        }
    }
    if (patience_ > PATIENCE && warp.groups.size() > 1) {
        patience_ = 0;
        const size_t other = block_.random.below(unsigned(warp.groups.size()));
        return warp.groups[other].waits ? found : other;
    }
    return found;
}

void Schedule::merge(Warp& warp) {
    auto& groups = warp.groups;
    for (size_t k = 0; k < groups.size(); ++k) {
        for (size_t other = groups.size() - 1; other > k; --other) {
            if (groups[k].pc == groups[other].pc && groups[k].waits == groups[other].waits) {
                groups[k].lanes |= groups[other].lanes;
                groups.erase(groups.begin() + long(other));
            }
        }
    }
    std::erase_if(groups, [](const Group& group) { return group.lanes == 0; });
}

void Schedule::run(Warp& warp, unsigned instructions) {
    const Instruction* code = block_.program->code.data();
    block_.running_warp = warp.index;
    while (true) {
        const size_t number = next_group(warp);
        if (number == NO_GROUP) {
            check_stuck(warp);
            return;
        }
        if (instructions == 0) {
            return;
        }
        uint32_t limit = NOWHERE;  // where another group waits to be joined
        uint32_t pc = warp.groups[number].pc;
        const uint32_t lanes = warp.groups[number].lanes;
        for (size_t k = 0; k < warp.groups.size(); ++k) {
            if (k != number && !warp.groups[k].waits && warp.groups[k].pc > pc) {
                limit = std::min(limit, warp.groups[k].pc);
            }
        }
        bool is_alone = true;
        while (instructions > 0 && is_alone && pc < limit) {
            const Instruction& i = code[pc];
            ++block_.counts[pc];
            --instructions;
            warp.pc = pc;
            const uint32_t active = guarded(warp, i, lanes);
            if (i.control == ORDINARY) {
                if (active) {
                    i.run(warp, i, active);
                }
                ++pc;
            } else if (active == 0) {
                ++pc;
            } else if (i.control == BRANCH && active == lanes) {
                patience_ += i.target <= pc && warp.groups.size() > 1;
                is_alone = patience_ <= PATIENCE;
                pc = i.target;
            } else {
                warp.groups[number].pc = pc;
                control(warp, number, i, active);
                pc = NOWHERE;
                is_alone = false;
            }
        }
        if (pc != NOWHERE) {
            warp.groups[number].pc = pc;
        }
        merge(warp);
    }
}

// Some lanes of a group go on at `pc`, the others with the next instruction.
void Schedule::jump(Warp& warp, size_t number, uint32_t lanes, uint32_t pc) {
    Group& group = warp.groups[number];
    const uint32_t others = group.lanes & ~lanes;
    const uint32_t next = group.pc + 1;
    group = {pc, lanes, false};
    if (others) {
        warp.groups.push_back({next, others, false});
    }
}

void Schedule::control(Warp& warp, size_t number, const Instruction& i, uint32_t active) {
    switch (i.control) {
        case BRANCH: jump(warp, number, active, i.target); break;
        case INDEXED_BRANCH: branch_by_index(warp, number, i, active); break;
        case CALL: call(warp, number, i, active); break;
        case RETURN: return_to_caller(warp, number, i, active); break;
        case EXIT: exit(warp, number, active); break;
        case ARRIVAL:
            arrive_without_waiting(warp, i, active);
            ++warp.groups[number].pc;
            break;
        default: wait(warp, number, i, active);
    }
}

void Schedule::branch_by_index(Warp& warp, size_t number, const Instruction& i, uint32_t active) {
    const uint32_t* index = warp.in<uint32_t>(i, 0);
    const uint32_t pc = warp.groups[number].pc;
    warp.groups[number] = {pc + 1, warp.groups[number].lanes & ~active, false};
    for_lanes(active, [&](unsigned lane) {
        if (index[lane] >= uint64_t(i.immediate[0])) {
            throw Failure{OUT_OF_BOUNDS, lane, "branch|" + std::to_string(index[lane])};
        }
        const uint32_t target = block_.program->branch_targets[i.target + index[lane]];
        warp.groups.push_back({target, 1u << lane, false});
    });
    merge(warp);
}

// A function has one place for each lane's return address, so it cannot call itself. The number of
// the function is in `immediate`.
void Schedule::call(Warp& warp, size_t number, const Instruction& i, uint32_t active) {
    auto& addresses = warp.return_addresses[size_t(i.immediate[0])];
    for_lanes(active, [&](unsigned lane) {
        if (addresses[lane] != NOWHERE) {
            throw Failure{UNSUPPORTED, lane, "recursion"};
        }
        addresses[lane] = warp.pc + 1;
    });
    jump(warp, number, active, i.target);
}

void Schedule::return_to_caller(Warp& warp, size_t number, const Instruction& i, uint32_t active) {
    auto& addresses = warp.return_addresses[size_t(i.immediate[0])];
    const uint32_t pc = warp.groups[number].pc;
    warp.groups[number] = {pc + 1, warp.groups[number].lanes & ~active, false};
    for_lanes(active, [&](unsigned lane) {
        warp.groups.push_back({addresses[lane], 1u << lane, false});
        addresses[lane] = NOWHERE;
    });
    merge(warp);
}

void Schedule::exit(Warp& warp, size_t number, uint32_t lanes) {
    jump(warp, number, lanes, warp.pc);
    warp.groups.erase(warp.groups.begin() + long(number));
    warp.live &= ~lanes;
    resolve_collectives(warp);  // which no longer wait for these
    if (!warp.live) {
        release_complete_barriers();
    }
}

void Schedule::wait(Warp& warp, size_t number, const Instruction& i, uint32_t active) {
    jump(warp, number, active, warp.pc);
    warp.groups[number].waits = true;
    if (is_collective(i)) {
        resolve_collectives(warp);
    }
}

// The lanes that a lane at a collective instruction waits for.
uint32_t Schedule::named_lanes(const Warp& warp, const Instruction& i, unsigned lane) const {
    if (i.control == WHOLE_WARP) {
        return ALL_LANES;
    }
    return warp.in<uint32_t>(i, i.count)[lane];
}

// Carries out what all of its lanes have come to.
void Schedule::resolve_collectives(Warp& warp) {
    const Instruction* code = block_.program->code.data();
    std::vector<Group> ready;
    for (const Group& group : warp.groups) {
        const Instruction& i = code[group.pc];
        if (!group.waits || !is_collective(i)) {
            continue;
        }
        for (uint32_t left = group.lanes; left;) {
            const unsigned lane = unsigned(std::countr_zero(left));
            const uint32_t named = named_lanes(warp, i, lane);
            warp.pc = group.pc;
            if (!(named >> lane & 1)) {
                diverged(lane, "unnamed|" + std::to_string(named));
            }
            if (i.control == WHOLE_WARP && warp.live != ALL_LANES) {
                diverged(lane, "partial|" + std::to_string(warp.live));
            }
            uint32_t same = 0;
            for_lanes(left, [&](unsigned other) {
                same |= uint32_t(named_lanes(warp, i, other) == named) << other;
            });
            left &= ~same;
            if ((named & warp.live & ~same) == 0) {
                ready.push_back({group.pc, named & warp.live & same, true});
            }
        }
    }
    for (const Group& group : ready) {
        const Instruction& i = code[group.pc];
        warp.pc = group.pc;
        i.run(warp, i, group.lanes);
        for (Group& waiting : warp.groups) {
            if (waiting.waits && waiting.pc == group.pc) {
                waiting.lanes &= ~group.lanes;
            }
        }
        warp.groups.push_back({group.pc + 1, group.lanes, false});
    }
    if (!ready.empty()) {
        merge(warp);
    }
}

// No group of the warp can go on: either all of its lanes have come to a barrier, or some wait for
// what cannot come.
void Schedule::check_stuck(Warp& warp) {
    if (!warp.live) {
        return;
    }
    const Instruction* code = block_.program->code.data();
    for (const Group& group : warp.groups) {
        const Instruction& i = code[group.pc];
        if (!is_collective(i)) {
            continue;
        }
        const unsigned lane = unsigned(std::countr_zero(group.lanes));
        const uint32_t missing = named_lanes(warp, i, lane) & warp.live & ~group.lanes;
        warp.pc = group.pc;
        for (const Group& other : warp.groups) {
            if (other.lanes & missing) {
                const unsigned absent = unsigned(std::countr_zero(other.lanes & missing));
                diverged(lane, "missing|" + std::to_string(missing), other.pc, warp.thread(absent));
            }
        }
        diverged(lane, "missing|" + std::to_string(missing));
    }
    const Group& first = warp.groups.front();
    const unsigned barrier =
        barrier_of(warp, code[first.pc], unsigned(std::countr_zero(first.lanes)));
    for (const Group& group : warp.groups) {
        const unsigned lane = unsigned(std::countr_zero(group.lanes));
        const Instruction& i = code[group.pc];
        const bool is_other = group.pc != first.pc && i.control == BARRIER;
        if (is_other || barrier_of(warp, i, lane) != barrier) {
            warp.pc = group.pc;
            diverged(lane, "barrier|" + std::to_string(group.lanes), first.pc,
                     warp.thread(unsigned(std::countr_zero(first.lanes))));
        }
    }
    arrive(warp);
}

}  // namespace ptx
