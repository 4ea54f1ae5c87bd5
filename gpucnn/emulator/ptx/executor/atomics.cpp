// Atomic operations. Blocks run on several threads of the host, so those on global memory are
// atomic there, too.
#include "floats.h"
#include "memory.h"

namespace ptx {
namespace {

struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
// In FP16 or bfloat16, of one number or of two side by side.
template <class F>
struct AddShort {
    uint16_t operator()(uint16_t a, uint16_t b) const {
        return to_short<F>(F::value(a) + F::value(b));
    }
    uint32_t operator()(uint32_t a, uint32_t b) const {
        return uint32_t((*this)(uint16_t(a >> 16), uint16_t(b >> 16))) << 16 |
               (*this)(uint16_t(a), uint16_t(b));
    }
};
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct Exchange { template <class T> T operator()(T, T b) const { return b; } };
// Up to b, and then zero; down from b, and again.
struct Increment { template <class T> T operator()(T a, T b) const { return a >= b ? 0 : a + 1; } };
struct Decrement {
    template <class T> T operator()(T a, T b) const { return a == 0 || a > b ? b : a - 1; }
};

template <class T>
using Raw = std::conditional_t<
    sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

// Replaces what is in memory by f of it; returns what was there.
template <class T, class F>
T update(char* memory, F&& f) {
    auto* place = reinterpret_cast<Raw<T>*>(memory);
    Raw<T> old = __atomic_load_n(place, __ATOMIC_SEQ_CST), wanted;
    do {
        wanted = std::bit_cast<Raw<T>>(f(std::bit_cast<T>(old)));
    } while (!__atomic_compare_exchange_n(place, &old, wanted, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return std::bit_cast<T>(old);
}

template <class T>
char* memory_of(Warp& w, const Instruction& i, unsigned lane, unsigned operand) {
    return resolve(w, i, lane, Space(i.space), address_of(w, i, operand, lane), sizeof(T), sizeof(T),
                   Access::ATOMIC);
}

// Lanes act in an order that is drawn, because a GPU promises none.
template <class F>
void in_drawn_order(Warp& w, uint32_t active, F&& f) {
    const unsigned shift = w.random.below(LANES);
    for_lanes(std::rotr(active, int(shift)), [&](unsigned l) { f((l + shift) % LANES); });
}

bool is_in_shared_memory(const Warp& w, const Instruction& i, unsigned lane, unsigned operand) {
    const uint64_t address = address_of(w, i, operand, lane);
    return i.space == SHARED ||
           (i.space == GENERIC && address & DEVICE && slot_of(address) == SHARED_SLOT);
}

// Replaces what is in a lane's memory by F of it and b. Outside of shared memory, sums in FP32 have
// no subnormal operands or results.
template <class T, class F>
T changed(Warp& w, const Instruction& i, unsigned lane, unsigned operand, T b) {
    char* memory = memory_of<T>(w, i, lane, operand);
    if constexpr (std::is_same_v<T, float>) {
        if (!is_in_shared_memory(w, i, lane, operand)) {
            return update<T>(memory, [&](T a) { return flushed(F()(flushed(a), flushed(b))); });
        }
    }
    return update<T>(memory, [&](T a) { return T(F()(a, b)); });
}

template <class T, class F>
void atomic(Warp& w, const Instruction& i, uint32_t active) {
    in_drawn_order(w, active, [&](unsigned lane) {
        const T old = changed<T, F>(w, i, lane, 1, w.in<T>(i, 2)[lane]);
        if (i.operand[0] != NONE) {
            w.out<T>(i, 0)[lane] = old;
        }
    });
}

template <class T, class F>
void reduction(Warp& w, const Instruction& i, uint32_t active) {
    in_drawn_order(w, active, [&](unsigned lane) {
        changed<T, F>(w, i, lane, 0, w.in<T>(i, 1)[lane]);
    });
}

template <class T>
void compare_and_swap(Warp& w, const Instruction& i, uint32_t active) {
    in_drawn_order(w, active, [&](unsigned lane) {
        const T expected = w.in<T>(i, 2)[lane], wanted = w.in<T>(i, 3)[lane];
        const T old = update<T>(memory_of<T>(w, i, lane, 1),
                                [&](T a) { return a == expected ? wanted : a; });
        if (i.operand[0] != NONE) {
            w.out<T>(i, 0)[lane] = old;
        }
    });
}

template <class T, class F>
void add_operation(Table& t, const std::string& operation) {
    const std::string size = sizes<T>(1);
    t.add("atom." + operation, size + "?a" + size, atomic<T, F>);
    t.add("red." + operation, "a" + size, reduction<T, F>);
}

template <class F>
void add_short_sums(Table& t) {
    const std::string name = std::string("add.") + F::name;
    add_operation<uint16_t, AddShort<F>>(t, name);
    add_operation<uint32_t, AddShort<F>>(t, name + "x2");
}

template <class T>
void add_order(Table& t) {
    add_operation<T, Min>(t, named<T>("min"));
    add_operation<T, Max>(t, named<T>("max"));
}

template <class T>
void add_bits(Table& t, const std::string& type) {
    add_operation<T, And>(t, "and." + type);
    add_operation<T, Or>(t, "or." + type);
    add_operation<T, Xor>(t, "xor." + type);
    const std::string size = sizes<T>(1);
    t.add("atom.exch." + type, size + "?a" + size, atomic<T, Exchange>);
    t.add("atom.cas." + type, size + "?a" + size + size, compare_and_swap<T>);
}

}  // namespace

void add_atomic_instructions(Table& t) {
    add_order<uint32_t>(t);
    add_order<int32_t>(t);
    add_order<uint64_t>(t);
    add_order<int64_t>(t);
    add_bits<uint32_t>(t, "b32");
    add_bits<uint64_t>(t, "b64");
    t.add("atom.cas.b16", "2?a22", compare_and_swap<uint16_t>);
    add_operation<uint32_t, Add>(t, "add.u32");
    add_operation<uint32_t, Add>(t, "add.s32");  // whose overflows are defined
    add_operation<uint64_t, Add>(t, "add.u64");
    add_operation<float, Add>(t, "add.f32");
    add_operation<double, Add>(t, "add.f64");
    add_short_sums<Half>(t);
    add_short_sums<Bfloat>(t);
    add_operation<uint32_t, Increment>(t, "inc.u32");
    add_operation<uint32_t, Decrement>(t, "dec.u32");
}

}  // namespace ptx
