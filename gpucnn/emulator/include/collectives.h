// Where threads meet: barriers, votes and shuffles. Each is a macro, so that it knows its line.
#pragma once

#include <type_traits>

#include "interface.h"

#define EMULATOR_CALL(name)                                                    \
    ([]() -> const ::emulator::Call& {                                         \
        static constexpr ::emulator::Call call = {                             \
            name, __FILE__, __LINE__, __COUNTER__};                            \
        return call;                                                           \
    }())

#define __syncthreads() ::emulator::block_collective(EMULATOR_CALL("__syncthreads"))
#define __syncthreads_count(predicate) \
    ::emulator::block_count(EMULATOR_CALL("__syncthreads_count"), predicate)
#define __syncthreads_and(predicate) \
    ::emulator::block_all(EMULATOR_CALL("__syncthreads_and"), predicate)
#define __syncthreads_or(predicate) \
    ::emulator::block_any(EMULATOR_CALL("__syncthreads_or"), predicate)

// A mask may be left out, then it names all lanes.
#define __syncwarp(...) \
    ::emulator::sync_warp(EMULATOR_CALL("__syncwarp") __VA_OPT__(, ) __VA_ARGS__)
#define __ballot_sync(mask, predicate) \
    ::emulator::ballot(EMULATOR_CALL("__ballot_sync"), mask, predicate)
#define __any_sync(mask, predicate) \
    static_cast<int>(::emulator::ballot(EMULATOR_CALL("__any_sync"), mask, predicate) != 0u)
#define __all_sync(mask, predicate) \
    static_cast<int>(::emulator::ballot(EMULATOR_CALL("__all_sync"), mask, !(predicate)) == 0u)

// (mask, value, lane or distance, width = 32)
#define __shfl_sync(...) \
    ::emulator::shuffle<::emulator::Direct>(EMULATOR_CALL("__shfl_sync"), __VA_ARGS__)
#define __shfl_up_sync(...) \
    ::emulator::shuffle<::emulator::Up>(EMULATOR_CALL("__shfl_up_sync"), __VA_ARGS__)
#define __shfl_down_sync(...) \
    ::emulator::shuffle<::emulator::Down>(EMULATOR_CALL("__shfl_down_sync"), __VA_ARGS__)
#define __shfl_xor_sync(...) \
    ::emulator::shuffle<::emulator::Across>(EMULATOR_CALL("__shfl_xor_sync"), __VA_ARGS__)

// Fences order what other blocks see; here all see everything at once.
inline void __threadfence() { emulator::fence_memory(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emulator::fence_memory(); }

// (mask, value); (mask, value, address of what tells whether all have the same).
#define __match_any_sync(...) \
    ::emulator::match_any(EMULATOR_CALL("__match_any_sync"), __VA_ARGS__)
#define __match_all_sync(...) \
    ::emulator::match_all(EMULATOR_CALL("__match_all_sync"), __VA_ARGS__)

// (mask, value)
#define __reduce_add_sync(...) \
    ::emulator::reduce<::emulator::Sum>(EMULATOR_CALL("__reduce_add_sync"), __VA_ARGS__)
#define __reduce_min_sync(...) \
    ::emulator::reduce<::emulator::Least>(EMULATOR_CALL("__reduce_min_sync"), __VA_ARGS__)
#define __reduce_max_sync(...) \
    ::emulator::reduce<::emulator::Most>(EMULATOR_CALL("__reduce_max_sync"), __VA_ARGS__)
#define __reduce_and_sync(...) \
    ::emulator::reduce_bits<::emulator::And>(EMULATOR_CALL("__reduce_and_sync"), __VA_ARGS__)
#define __reduce_or_sync(...) \
    ::emulator::reduce_bits<::emulator::Or>(EMULATOR_CALL("__reduce_or_sync"), __VA_ARGS__)
#define __reduce_xor_sync(...) \
    ::emulator::reduce_bits<::emulator::Xor>(EMULATOR_CALL("__reduce_xor_sync"), __VA_ARGS__)

#define __activemask() ::emulator::active_mask<int>()

namespace emulator {

constexpr unsigned LANES = 32;

struct Vote {
    bool predicate;
    unsigned result;
};

EMULATOR_UNCHECKED inline void combine_count(void** operands, unsigned count) {
    unsigned votes = 0;
    for (unsigned i = 0; i < count; ++i) {
        votes += static_cast<Vote*>(operands[i])->predicate;
    }
    for (unsigned i = 0; i < count; ++i) {
        static_cast<Vote*>(operands[i])->result = votes;
    }
}

inline int block_count(const Call& call, bool predicate) {
    Vote vote = {predicate, 0};
    block_collective(call, &vote, combine_count);
    return static_cast<int>(vote.result);
}

inline int block_any(const Call& call, bool predicate) {
    return block_count(call, predicate) != 0;
}

inline int block_all(const Call& call, bool predicate) {
    return block_count(call, !predicate) == 0;
}

EMULATOR_UNCHECKED inline void combine_ballot(void** lanes) {
    unsigned bits = 0;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (lanes[lane] != nullptr && static_cast<Vote*>(lanes[lane])->predicate) {
            bits |= 1u << lane;
        }
    }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (lanes[lane] != nullptr) {
            static_cast<Vote*>(lanes[lane])->result = bits;
        }
    }
}

inline unsigned ballot(const Call& call, unsigned mask, bool predicate) {
    Vote vote = {predicate, 0};
    warp_collective(call, mask, &vote, combine_ballot, Left::PASSED_OVER);
    return vote.result;
}

inline void sync_warp(const Call& call, unsigned mask = 0xffffffffu) {
    warp_collective(call, mask, nullptr, nullptr, Left::PASSED_OVER);
}

// Which lane a lane of a segment of `width` lanes reads; its own where that lies outside.
struct Direct {
    static unsigned source(unsigned lane, unsigned value, unsigned width) {
        return lane / width * width + value % width;
    }
};
struct Up {
    static unsigned source(unsigned lane, unsigned distance, unsigned width) {
        return lane % width < distance ? lane : lane - distance;
    }
};
struct Down {
    static unsigned source(unsigned lane, unsigned distance, unsigned width) {
        return lane % width + distance >= width ? lane : lane + distance;
    }
};
struct Across {
    static unsigned source(unsigned lane, unsigned bits, unsigned width) {
        const unsigned other = lane ^ bits;
        return other / width > lane / width ? lane : other;
    }
};

template <typename T>
struct Exchange {
    T value;
    T result;
    unsigned source;
    bool is_missing;
};

// A lane that takes no part gives no defined value: all bits set, which is NaN.
template <typename T>
EMULATOR_UNCHECKED void combine_exchange(void** lanes) {
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (lanes[lane] == nullptr) {
            continue;
        }
        auto* own = static_cast<Exchange<T>*>(lanes[lane]);
        const void* other = lanes[own->source];
        own->is_missing = other == nullptr;
        if (own->is_missing) {
            __builtin_memset(static_cast<void*>(&own->result), 0xff, sizeof(T));
        } else {
            own->result = static_cast<const Exchange<T>*>(other)->value;
        }
    }
}

// The value of another lane, which may have left the kernel only if it is not in the mask.
template <typename T>
T exchange(const Call& call, unsigned mask, const T& value, unsigned source) {
    Exchange<T> exchange = {value, value, source, false};
    warp_collective(call, mask, &exchange, combine_exchange<T>, Left::PASSED_OVER);
    if (exchange.is_missing && (mask >> source & 1u) != 0 && has_left(source)) {
        fail(call, "%s: lane %u reads lane %u, which has left the kernel", call.name, lane(),
             source);
    }
    return exchange.result;
}

// What lanes can exchange: numbers, of which small ones are an int's; other headers add to it.
template <typename T>
constexpr bool EXCHANGED = std::is_arithmetic_v<T>;
template <typename T>
using Exchanged = std::conditional_t<std::is_integral_v<T> && (sizeof(T) < 4), int, T>;

// The lane that is read must take part, where what it gives is always wanted. Up and down at the end
// of the mask it is not, as in sums by halves: there it is poison.
template <typename Direction>
void check_source(const Call& call, unsigned mask, unsigned source) {
    if constexpr (std::is_same_v<Direction, Direct> || std::is_same_v<Direction, Across>) {
        if ((mask >> lane() & 1u) != 0 && (mask >> source & 1u) == 0) {
            fail(call, "%s: lane %u reads lane %u, which its mask 0x%08x does not name", call.name,
                 lane(), source, mask);
        }
    }
}

template <typename Direction, typename Given>
Exchanged<Given> shuffle(
    const Call& call, unsigned mask, Given value, unsigned argument, unsigned width = LANES) {
    static_assert(EXCHANGED<Given>, "lanes exchange numbers; take a structure apart");
    using T = Exchanged<Given>;
    if (width == 0 || width > LANES || (width & (width - 1)) != 0) {
        fail(call, "%s with a width of %u; it must be a power of two up to 32", call.name, width);
    }
    const unsigned source = Direction::source(lane(), argument, width);
    check_source<Direction>(call, mask, source);
    return exchange<T>(call, mask, value, source);
}

// What a lane gives to all, and what it is told.
template <typename T, typename Result>
struct Contribution {
    T value;
    Result result;
};

template <typename T>
bool same_bits(T a, T b) {
    return __builtin_memcmp(&a, &b, sizeof(T)) == 0;
}

// Which lanes take part, and which of them have the same value as this one.
struct Matches {
    unsigned present;
    unsigned equal;
};

template <typename T>
EMULATOR_UNCHECKED void combine_match(void** lanes) {
    using Lane = Contribution<T, Matches>;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (lanes[lane] == nullptr) {
            continue;
        }
        auto* own = static_cast<Lane*>(lanes[lane]);
        own->result = {0, 0};
        for (unsigned i = 0; i < LANES; ++i) {
            if (const auto* other = static_cast<const Lane*>(lanes[i])) {
                own->result.present |= 1u << i;
                own->result.equal |= same_bits(own->value, other->value) ? 1u << i : 0u;
            }
        }
    }
}

template <typename T>
Matches match(const Call& call, unsigned mask, T value) {
    static_assert(std::is_arithmetic_v<T>, "numbers are compared");
    Contribution<Exchanged<T>, Matches> lane = {value, {0, 0}};
    warp_collective(call, mask, &lane, combine_match<Exchanged<T>>, Left::PASSED_OVER);
    return lane.result;
}

template <typename T>
unsigned match_any(const Call& call, unsigned mask, T value) {
    return match(call, mask, value).equal;
}

template <typename T>
unsigned match_all(const Call& call, unsigned mask, T value, int* all) {
    const Matches matches = match(call, mask, value);
    *all = matches.equal == matches.present;
    return *all ? mask : 0;
}

struct Sum {
    static unsigned of(unsigned a, unsigned b) { return a + b; }
    static int of(int a, int b) {
        return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
    }
};
struct Least {
    template <typename T>
    static T of(T a, T b) { return b < a ? b : a; }
};
struct Most {
    template <typename T>
    static T of(T a, T b) { return a < b ? b : a; }
};
struct And {
    static unsigned of(unsigned a, unsigned b) { return a & b; }
};
struct Or {
    static unsigned of(unsigned a, unsigned b) { return a | b; }
};
struct Xor {
    static unsigned of(unsigned a, unsigned b) { return a ^ b; }
};

template <typename Operation, typename T>
EMULATOR_UNCHECKED void combine_reduction(void** lanes) {
    using Lane = Contribution<T, T>;
    Lane* first = nullptr;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (auto* own = static_cast<Lane*>(lanes[lane])) {
            if (first == nullptr) {
                first = own;
                first->result = own->value;
            } else {
                first->result = Operation::of(first->result, own->value);
            }
        }
    }
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (auto* own = static_cast<Lane*>(lanes[lane])) {
            own->result = first->result;
        }
    }
}

template <typename Operation, typename T>
T reduce(const Call& call, unsigned mask, T value) {
    static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>, "of int and unsigned");
    Contribution<T, T> lane = {value, value};
    warp_collective(call, mask, &lane, combine_reduction<Operation, T>, Left::PASSED_OVER);
    return lane.result;
}

template <typename Operation>
unsigned reduce_bits(const Call& call, unsigned mask, unsigned value) {
    return reduce<Operation, unsigned>(call, mask, value);
}

template <typename T>
unsigned active_mask() {
    static_assert(sizeof(T) == 0,
                  "__activemask() tells which lanes happen to run together, which no program can "
                  "rely on; hand on the mask of the lanes that are meant");
    return 0;
}

}  // namespace emulator
