// Branches, calls and barriers, which the scheduler carries out, and what ends a program.
#include "block.h"

namespace ptx {
namespace {

void nothing(Warp&, const Instruction&, uint32_t) {}

void trap(Warp&, const Instruction&, uint32_t active) {
    throw Failure{ASSERTION, unsigned(std::countr_zero(active)), "trap"};
}

void count_of_ones(Warp& w, const Instruction& i, uint32_t active) {
    map_lanes(w.out<uint32_t>(i, 3), active, [&](unsigned) { return w.barrier_ones; });
}
void all_are_ones(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 3, active, w.barrier_ones == w.barrier_votes ? active : 0);
}
void one_is_one(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 3, active, w.barrier_ones > 0 ? active : 0);
}

// Registers that change by themselves.
void clock_32(Warp& w, const Instruction& i, uint32_t active) {
    const uint64_t now = ++w.block->clock;
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned) { return uint32_t(now); });
}
void clock_64(Warp& w, const Instruction& i, uint32_t active) {
    const uint64_t now = ++w.block->clock;
    map_lanes(w.out<uint64_t>(i, 0), active, [=](unsigned) { return now; });
}

}  // namespace

void add_control_instructions(Table& t) {
    t.add("bra", "", nullptr, BRANCH);
    t.add("brx.idx", "4", nullptr, INDEXED_BRANCH);
    t.add("call", "", nullptr, CALL);
    t.add("ret", "", nullptr, RETURN);
    t.add("exit", "", nullptr, EXIT);
    t.add("bar.sync", "44?", nullptr, BARRIER);
    t.add("barrier.sync", "44?", nullptr, LOOSE_BARRIER);
    t.add("bar.arrive", "44", nullptr, ARRIVAL);
    t.add("bar.red.popc.u32", "44?p4", count_of_ones, BARRIER);
    t.add("bar.red.and.pred", "44?pp", all_are_ones, BARRIER);
    t.add("bar.red.or.pred", "44?pp", one_is_one, BARRIER);
    t.add("trap", "", trap);
    t.add("brkpt", "", trap);
    t.add("nanosleep.u32", "4", nothing);
    t.add("pragma", "", nothing);
    t.add("clock.32", "4", clock_32);
    t.add("clock.64", "8", clock_64);
}

}  // namespace ptx
