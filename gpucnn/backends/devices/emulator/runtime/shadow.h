// Race mode's memory of memory: who last read and wrote each element, and when.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "block.h"

namespace emulator {

// One access, or several that nothing puts in order.
struct Access {
    // The instruction, or for what the compiler does not see the call.
    const void* instruction;
    const Call* call;
    uint32_t block;     // Counted from 1 over a launch; 0: there was none.
    uint32_t interval;  // Barriers that the block had passed.
    uint32_t clock;     // Of the lanes; the latest of several.
    uint32_t lanes;     // A bit for each.
    uint16_t warp;      // Or SEVERAL_WARPS.
    bool atomic;
};
constexpr uint16_t SEVERAL_WARPS = 0xffff;

// An element, which is the unit in which races are told apart.
struct Word {
    Access write;
    Access read;
    // The last by a block before that of `read`.
    Access earlier_read;
    // Shared memory: whether the block has written it, and whether an asynchronous copy to it is
    // under way.
    bool written;
    bool pending;
};

// An array, or a variable of shared memory.
struct Memory {
    uintptr_t begin = 0;
    size_t bytes = 0;
    size_t granule = 1;  // Bytes of an element, 1, 2 or 4.
    bool shared = false;
    std::vector<Word> words;

    void reset(const void* first, size_t count, size_t element_bytes) {
        begin = reinterpret_cast<uintptr_t>(first);
        bytes = count;
        granule = element_bytes;
        words.assign((count + granule - 1) / granule, Word{});
    }
    bool holds(uintptr_t address) const { return address - begin < bytes; }
    Word& word(uintptr_t address) { return words[(address - begin) / granule]; }
};

// What each lane of each warp of the running block knows of the others: all that lane l did before
// its clock was seen[l] happened before what the lane does next.
class WarpClocks {
public:
    void reset(unsigned threads) { lanes_.assign((threads + WARP - 1) / WARP * WARP, Lane{}); }

    uint32_t now(unsigned thread) const { return lanes_[thread].seen[thread % WARP]; }

    // The lanes meet: each knows what any of them knew, and goes on with a later clock.
    void meet(unsigned first, uint32_t lanes) {
        Lane all = {};
        uint32_t latest = 0;
        for (uint32_t left = lanes; left != 0; left &= left - 1) {
            const auto lane = static_cast<unsigned>(__builtin_ctz(left));
            for (unsigned i = 0; i < WARP; ++i) {
                all.seen[i] = std::max(all.seen[i], lanes_[first + lane].seen[i]);
            }
            latest = std::max(latest, now(first + lane));
        }
        for (uint32_t left = lanes; left != 0; left &= left - 1) {
            all.seen[__builtin_ctz(left)] = latest + 1;
        }
        for (uint32_t left = lanes; left != 0; left &= left - 1) {
            lanes_[first + static_cast<unsigned>(__builtin_ctz(left))] = all;
        }
    }

    // Whether a thread comes after accesses of lanes of its warp.
    bool follows(unsigned thread, uint32_t lanes, uint32_t clock) const {
        for (uint32_t left = lanes & ~(1u << thread % WARP); left != 0; left &= left - 1) {
            if (lanes_[thread].seen[__builtin_ctz(left)] <= clock) {
                return false;
            }
        }
        return true;
    }

private:
    struct Lane {
        uint32_t seen[WARP];
    };
    std::vector<Lane> lanes_;
};

}  // namespace emulator
