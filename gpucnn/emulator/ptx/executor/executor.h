// A processor for PTX: what an instruction is, what it works on, and how it fails.
//
// A warp executes one instruction for all of its active lanes at a time. A virtual register is an
// array of 32 values, one a lane, in the warp's register file; a predicate is one word with a bit a
// lane. An instruction has been assembled (assembler.py) to the number of a handler, a function
// that carries it out for one warp, and to the byte offsets of its operands in the register file.
// Immediate operands lie, repeated for 32 lanes, in a table of constants, so a handler need not know
// whether it reads a register or a constant.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace ptx {

constexpr unsigned LANES = 32;
constexpr uint32_t ALL_LANES = ~0u;
constexpr int32_t NONE = INT32_MAX;  // an operand that is left out

enum Rounding : unsigned { TO_NEAREST, TO_ZERO, DOWN, UP, TO_NEAREST_AWAY };

// Modifiers that are no part of a handler's name; opcodes.py has the same numbers.
enum Flag : uint32_t {
    ROUNDING = 7,          // one of Rounding
    FTZ = 1 << 3,          // subnormal operands and results are zero
    SATURATE = 1 << 4,     // to the range of the type; floats to [0, 1]
    INTEGRAL = 1 << 5,     // cvt rounds to an integer (.rni, .rzi, .rmi, .rpi)
    RELU = 1 << 6,         // negative results and NaN become zero
    NAN_RESULT = 1 << 7,   // min and max: NaN if an operand is NaN
    ADDRESS_64 = 1 << 8,   // the address register has 64 bits
    SECOND_64 = 1 << 9,    // that of the second address
    CARRY_OUT = 1 << 10,   // .cc
};

enum Space : uint8_t { GENERIC, GLOBAL, SHARED, LOCAL, PARAMETER };

enum Comparison : uint8_t {
    EQ, NE, LT, LE, GT, GE, LO, LS, HI, HS, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NAN_
};

enum Logic : uint8_t { PLAIN, AND, OR, XOR };

// What the scheduler does about an instruction; the handlers of all but ORDINARY ones are called
// by it, if they have any.
enum Control : uint8_t {
    ORDINARY,
    BRANCH,
    INDEXED_BRANCH,
    CALL,
    RETURN,
    EXIT,
    BARRIER,         // of the block; only for whole warps
    LOOSE_BARRIER,   // of the block; threads of a warp may arrive one by one
    ARRIVAL,         // at a barrier, without waiting
    COLLECTIVE,      // of the lanes that a mask names, which is the last operand
    WHOLE_WARP,      // of all lanes
};

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&, uint32_t active);

constexpr unsigned OPERANDS = 24;

// As encoding.py packs it.
struct Encoded {
    uint16_t handler;
    uint8_t space, count, comparison, logic;
    uint8_t width[2];  // bytes of the registers of a load, a store or a conversion
    uint32_t flags;
    int32_t guard;     // a predicate, or NONE
    uint32_t is_guard_negated;
    uint32_t target;   // of a branch or a call
    int32_t operand[OPERANDS];
    int64_t immediate[2];  // displacements of addresses, and other constants
};

struct Instruction : Encoded {
    Handler run;
    Control control;
};

// Memory that the host has: an array of the launch, or a variable of the module.
struct Array {
    uint64_t begin;  // its address on the device
    uint64_t bytes;
    char* host;
};

// Where something lies in shared memory.
struct SharedVariable {
    uint32_t begin, bytes;
};

// Addresses of global memory have this bit. Each array has 2^40 addresses to itself, in whose middle
// it lies, so that an index would have to be wrong by 2^39 bytes to find another one.
constexpr uint64_t DEVICE = uint64_t(1) << 62;
constexpr unsigned SLOT_BITS = 40;
constexpr uint64_t slot_of(uint64_t address) { return (address & ~DEVICE) >> SLOT_BITS; }
constexpr uint64_t SHARED_SLOT = 0, LOCAL_SLOT = 1, FIRST_SLOT = 2;
constexpr uint64_t SHARED_WINDOW = DEVICE | SHARED_SLOT << SLOT_BITS;
constexpr uint64_t LOCAL_WINDOW = DEVICE | LOCAL_SLOT << SLOT_BITS;
constexpr uint64_t OFFSET_MASK = (uint64_t(1) << SLOT_BITS) - 1;

// What may be an address of the host's memory (arguments.py).
constexpr uint64_t LOWEST_HOST_ADDRESS = uint64_t(1) << 32;

enum FailureKind : int {
    NO_FAILURE, RACE, OUT_OF_BOUNDS, MISALIGNED, DIVERGENCE, UNINITIALISED, ASSERTION, TIME_LIMIT,
    UNSUPPORTED, HOST,
};

// What ends a launch. `other` is a second instruction that the message is about, or -1.
struct Failure {
    FailureKind kind;
    unsigned lane;
    std::string text;
    int64_t other_instruction = -1;
    int64_t other_thread = -1;
};

// How tensor cores add: the terms that are summed at once, and the bits beyond FP32's mantissa that
// products are aligned to. No terms: each addition is rounded to nearest.
struct Accumulation {
    uint32_t terms_16_bit, terms_tf32, extra_bits;
};

struct Random {
    uint64_t state;

    uint32_t next() {  // PCG, by M. O'Neill
        const uint64_t old = state;
        state = old * 6364136223846793005u + 1442695040888963407u;
        return std::rotr(uint32_t((old >> 18 ^ old) >> 27), int(old >> 59));
    }
    uint32_t below(uint32_t bound) { return uint64_t(next()) * bound >> 32; }
    double unit() { return next() * 0x1p-31 - 1; }  // in [-1, 1)
};

struct Program {
    std::vector<Instruction> code;
    std::vector<char> constants;
    std::vector<uint32_t> branch_targets;  // of indexed branches
};

// What all blocks of a launch share.
struct Launch {
    const Program* program;
    uint32_t entry;
    uint32_t grid[3], block[3];
    uint32_t function_count;
    uint32_t register_bytes, local_bytes, shared_bytes, dynamic_shared_bytes;
    const Array* arrays;
    uint64_t array_count;
    const SharedVariable* shared;
    uint32_t shared_count;
    const char* parameters;
    uint32_t parameter_bytes;
    uint32_t may_use_host_addresses;
    uint64_t seed;
    double time_limit;
    uint32_t workers;
    uint32_t jitter;
    uint32_t allow_same_value_writes;
    Accumulation accumulation;
};

struct Block;

// Lanes of a warp that are at the same instruction.
struct Group {
    uint32_t pc, lanes;
    bool waits;
};

struct Warp {
    Block* block;
    unsigned index;
    char* registers;
    const char* constants;
    uint32_t live;  // lanes that have not exited
    uint32_t pc;    // of the instruction that is executed
    Random random;
    std::vector<Group> groups;
    uint32_t carry;  // the condition code of add.cc and the like, a bit a lane
    bool arrived;    // at a barrier, where it waits
    uint32_t barrier_ones, barrier_votes;  // of the last bar.red
    std::vector<std::array<uint32_t, LANES>> return_addresses;  // by function

    template <class T>
    const T* in(const Instruction& i, unsigned operand) const {
        const int32_t place = i.operand[operand];
        return reinterpret_cast<const T*>(place >= 0 ? registers + place : constants + ~place);
    }
    template <class T>
    T* out(const Instruction& i, unsigned operand) {
        return reinterpret_cast<T*>(registers + i.operand[operand]);
    }
    uint32_t predicate(const Instruction& i, unsigned operand) const {
        return *in<uint32_t>(i, operand);
    }
    void set_predicate(const Instruction& i, unsigned operand, uint32_t active, uint32_t value) {
        if (i.operand[operand] == NONE) {
            return;
        }
        uint32_t& word = *out<uint32_t>(i, operand);
        word = (word & ~active) | (value & active);
    }
    unsigned thread(unsigned lane) const { return index * LANES + lane; }
};

// For each active lane, in order.
template <class F>
void for_lanes(uint32_t active, F&& f) {
    if (active == ALL_LANES) {  // without looking for the next one
        for (unsigned lane = 0; lane < LANES; ++lane) {
            f(lane);
        }
        return;
    }
    for (uint32_t left = active; left; left &= left - 1) {
        f(unsigned(std::countr_zero(left)));
    }
}

// d[lane] = f(lane) for all active lanes, at full speed if these are all.
template <class T, class F>
void map_lanes(T* d, uint32_t active, F&& f) {
    if (active == ALL_LANES) {
#pragma GCC ivdep
        for (unsigned lane = 0; lane < LANES; ++lane) {
            d[lane] = f(lane);
        }
    } else {
        for_lanes(active, [&](unsigned lane) { d[lane] = f(lane); });
    }
}

// Instructions that are a function of one, two or three operands of one type.
template <class T, auto F>
void unary(Warp& w, const Instruction& i, uint32_t active) {
    const T* a = w.in<T>(i, 1);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return F(a[l]); });
}

template <class T, auto F>
void binary(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return F(a[l], b[l]); });
}

template <class T, auto F>
void ternary(Warp& w, const Instruction& i, uint32_t active) {
    const T *a = w.in<T>(i, 1), *b = w.in<T>(i, 2), *c = w.in<T>(i, 3);
    map_lanes(w.out<T>(i, 0), active, [=](unsigned l) { return F(a[l], b[l], c[l]); });
}

// A handler and what encoding.py has to know of it: the bytes of each operand, "p" for a
// predicate, "a" for an address; "?" after it if it may be left out.
struct Entry {
    const char* opcode;
    std::string operands;
    Handler run;
    Control control = ORDINARY;
};

class Table {
public:
    void add(const std::string& opcode, std::string operands, Handler run,
             Control control = ORDINARY) {
        names_.push_back(std::make_unique<std::string>(opcode));
        entries_.push_back({names_.back()->c_str(), std::move(operands), run, control});
    }
    const std::vector<Entry>& entries() const { return entries_; }

private:
    std::vector<std::unique_ptr<std::string>> names_;
    std::vector<Entry> entries_;
};

// Each file adds its instructions.
void add_integer_instructions(Table&);
void add_bit_instructions(Table&);
void add_float_instructions(Table&);
void add_short_float_instructions(Table&);
void add_approximate_instructions(Table&);
void add_comparisons(Table&);
void add_conversions(Table&);
void add_memory_instructions(Table&);
void add_atomic_instructions(Table&);
void add_copy_instructions(Table&);
void add_warp_instructions(Table&);
void add_tensor_instructions(Table&);
void add_control_instructions(Table&);
void add_functions(Table&);

// "s32" for int32_t, and so on.
template <class T>
constexpr const char* type_name() {
    if constexpr (std::is_same_v<T, float>) return "f32";
    if constexpr (std::is_same_v<T, double>) return "f64";
    constexpr const char* names[2][4] = {{"u8", "u16", "u32", "u64"}, {"s8", "s16", "s32", "s64"}};
    return names[std::is_signed_v<T>][std::bit_width(sizeof(T)) - 1];
}

template <class T>
std::string named(const char* operation) {
    return std::string(operation) + "." + type_name<T>();
}

// The operands' sizes of an instruction that takes `count` of type T.
template <class T>
std::string sizes(unsigned count) {
    return std::string(count, char('0' + sizeof(T)));
}

}  // namespace ptx
