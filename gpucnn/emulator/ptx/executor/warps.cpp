// What lanes of a warp do together: shuffles, votes, matches, reductions. The scheduler calls these
// handlers once all lanes that a mask names have come.
#include "block.h"

namespace ptx {
namespace {

enum class Shuffle { UP, DOWN, XOR, INDEX };

// shfl.sync: the c operand has the highest lane of a segment in bits 0 to 4, and in bits 8 to 12 the
// bits of a lane's number that name its segment.
template <Shuffle MODE>
void shuffle(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t *a = w.in<uint32_t>(i, 2), *b = w.in<uint32_t>(i, 3), *c = w.in<uint32_t>(i, 4);
    uint32_t results[LANES] = {}, inside = 0;
    for_lanes(active, [&](unsigned lane) {
        const int distance = b[lane] & 31, clamp = c[lane] & 31, segment = c[lane] >> 8 & 31;
        const int first = int(lane) & segment;
        const int last = first | (clamp & ~segment);
        const int own = int(lane);
        const int wanted = MODE == Shuffle::UP     ? own - distance
                           : MODE == Shuffle::DOWN ? own + distance
                           : MODE == Shuffle::XOR  ? own ^ distance
                                                   : first | (distance & ~segment);
        const bool is_inside = MODE == Shuffle::UP ? wanted >= last : wanted <= last;
        const unsigned from = is_inside ? unsigned(wanted) : lane;
        if (!(active >> from & 1)) {
            throw Failure{DIVERGENCE, lane, "shuffle|" + std::to_string(from)};
        }
        results[lane] = a[from];
        inside |= uint32_t(is_inside) << lane;
    });
    uint32_t* d = w.out<uint32_t>(i, 0);
    for_lanes(active, [&](unsigned lane) { d[lane] = results[lane]; });
    w.set_predicate(i, 1, active, inside);
}

void vote_all(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 0, active, (w.predicate(i, 1) & active) == active ? active : 0);
}
void vote_any(Warp& w, const Instruction& i, uint32_t active) {
    w.set_predicate(i, 0, active, w.predicate(i, 1) & active ? active : 0);
}
void vote_uniform(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t set = w.predicate(i, 1) & active;
    w.set_predicate(i, 0, active, set == active || set == 0 ? active : 0);
}
void ballot(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t set = w.predicate(i, 1) & active;
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned) { return set; });
}

template <class T>
void match_any(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    uint32_t results[LANES] = {};
    for_lanes(active, [&](unsigned lane) {
        for_lanes(active, [&](unsigned other) {
            results[lane] |= uint32_t(a[other] == a[lane]) << other;
        });
    });
    for_lanes(active, [&](unsigned lane) { w.out<uint32_t>(i, 0)[lane] = results[lane]; });
}

template <class T>
void match_all(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 2);
    const T first = a[std::countr_zero(active)];
    bool is_same = true;
    for_lanes(active, [&](unsigned lane) { is_same = is_same && a[lane] == first; });
    const uint32_t result = is_same ? active : 0;
    for_lanes(active, [&](unsigned lane) { w.out<uint32_t>(i, 0)[lane] = result; });
    w.set_predicate(i, 1, active, result);
}

struct Add { template <class T> T operator()(T a, T b) const { return T(uint32_t(a) + uint32_t(b)); } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };

template <class T, class F>
void reduce(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    const unsigned first = std::countr_zero(active);
    T result = a[first];
    for_lanes(active & ~(1u << first), [&](unsigned lane) { result = F()(result, a[lane]); });
    for_lanes(active, [&](unsigned lane) { w.out<T>(i, 0)[lane] = result; });
}

void elect(Warp& w, const Instruction& i, uint32_t active) {
    const unsigned first = std::countr_zero(active);
    if (i.operand[0] != NONE) {
        for_lanes(active, [&](unsigned lane) { w.out<uint32_t>(i, 0)[lane] = first; });
    }
    w.set_predicate(i, 1, active, 1u << first);
}

void warp_barrier(Warp& w, const Instruction&, uint32_t active) {
    w.block->shared.join_lanes(w.index, active);
}

void active_mask(Warp& w, const Instruction& i, uint32_t active) {
    map_lanes(w.out<uint32_t>(i, 0), active, [=](unsigned) { return active; });
}

template <class T>
void add_reductions(Table& t) {
    t.add(named<T>("redux.sync.add"), "444", reduce<T, Add>, COLLECTIVE);
    t.add(named<T>("redux.sync.min"), "444", reduce<T, Min>, COLLECTIVE);
    t.add(named<T>("redux.sync.max"), "444", reduce<T, Max>, COLLECTIVE);
}

}  // namespace

void add_warp_instructions(Table& t) {
    t.add("shfl.sync.up.b32", "4p?4444", shuffle<Shuffle::UP>, COLLECTIVE);
    t.add("shfl.sync.down.b32", "4p?4444", shuffle<Shuffle::DOWN>, COLLECTIVE);
    t.add("shfl.sync.bfly.b32", "4p?4444", shuffle<Shuffle::XOR>, COLLECTIVE);
    t.add("shfl.sync.idx.b32", "4p?4444", shuffle<Shuffle::INDEX>, COLLECTIVE);
    t.add("vote.sync.all.pred", "pp4", vote_all, COLLECTIVE);
    t.add("vote.sync.any.pred", "pp4", vote_any, COLLECTIVE);
    t.add("vote.sync.uni.pred", "pp4", vote_uniform, COLLECTIVE);
    t.add("vote.sync.ballot.b32", "4p4", ballot, COLLECTIVE);
    t.add("match.any.sync.b32", "444", match_any<uint32_t>, COLLECTIVE);
    t.add("match.any.sync.b64", "484", match_any<uint64_t>, COLLECTIVE);
    t.add("match.all.sync.b32", "4p?44", match_all<uint32_t>, COLLECTIVE);
    t.add("match.all.sync.b64", "4p?84", match_all<uint64_t>, COLLECTIVE);
    add_reductions<uint32_t>(t);
    add_reductions<int32_t>(t);
    t.add("redux.sync.and.b32", "444", reduce<uint32_t, And>, COLLECTIVE);
    t.add("redux.sync.or.b32", "444", reduce<uint32_t, Or>, COLLECTIVE);
    t.add("redux.sync.xor.b32", "444", reduce<uint32_t, Xor>, COLLECTIVE);
    t.add("elect.sync", "4?p4", elect, COLLECTIVE);
    t.add("bar.warp.sync", "4", warp_barrier, COLLECTIVE);
    t.add("activemask.b32", "4", active_mask);
}

}  // namespace ptx
