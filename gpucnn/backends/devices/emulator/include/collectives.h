// Where threads meet: barriers, votes and shuffles. Each is a macro, so that it knows its line.
#pragma once

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
    (::emulator::ballot(EMULATOR_CALL("__any_sync"), mask, predicate) != 0u)
#define __all_sync(mask, predicate) \
    (::emulator::ballot(EMULATOR_CALL("__all_sync"), mask, !(predicate)) == 0u)

// (mask, value, lane or distance, width = 32)
#define __shfl_sync(...) \
    ::emulator::shuffle<::emulator::Direct>(EMULATOR_CALL("__shfl_sync"), __VA_ARGS__)
#define __shfl_up_sync(...) \
    ::emulator::shuffle<::emulator::Up>(EMULATOR_CALL("__shfl_up_sync"), __VA_ARGS__)
#define __shfl_down_sync(...) \
    ::emulator::shuffle<::emulator::Down>(EMULATOR_CALL("__shfl_down_sync"), __VA_ARGS__)
#define __shfl_xor_sync(...) \
    ::emulator::shuffle<::emulator::Xor>(EMULATOR_CALL("__shfl_xor_sync"), __VA_ARGS__)

// Fences order what other blocks see; here all see everything at once.
inline void __threadfence() {}
inline void __threadfence_block() {}

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
    warp_collective(call, mask, &vote, combine_ballot);
    return vote.result;
}

inline void sync_warp(const Call& call, unsigned mask = 0xffffffffu) {
    warp_collective(call, mask);
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
struct Xor {
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
        if (other == nullptr) {
            __builtin_memset(static_cast<void*>(&own->result), 0xff, sizeof(T));
        } else {
            own->result = static_cast<const Exchange<T>*>(other)->value;
        }
    }
}

template <typename Direction, typename T>
T shuffle(const Call& call, unsigned mask, T value, unsigned argument, unsigned width = LANES) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    if (width == 0 || width > LANES || (width & (width - 1)) != 0) {
        fail(call, "%s with a width of %u; it must be a power of two up to 32", call.name, width);
    }
    Exchange<T> exchange = {value, value, Direction::source(lane(), argument, width)};
    warp_collective(call, mask, &exchange, combine_exchange<T>);
    return exchange.result;
}

}  // namespace emulator
