// Race mode's memory of memory: who last read and wrote each element, and when.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <utility>
#include <vector>

#include "launch.h"

namespace emulator {

// One access, or several that nothing puts in order. All zeros: there was none.
struct Access {
    // Where it returns to; of several, the last.
    const void* instruction;
    uint32_t block;     // Counted from 1 over a launch.
    uint32_t interval;  // Barriers that the block had passed.
    uint32_t clock;     // Of the lanes; the latest of several.
    uint32_t lanes;     // A bit for each.
    uint16_t warp;      // Or SEVERAL_WARPS.
    uint16_t thread;    // Of the block; of several, the last.
    bool atomic;
};
constexpr uint16_t SEVERAL_WARPS = 0xffff;

// What is known of an element, which is the unit in which races are told apart.
struct Word {
    Access write;
    Access read;
    // The last by a block before that of `write` or `read`.
    Access earlier_write;
    Access earlier_read;
    // Of an element that was accessed in part: its bytes.
    Word* bytes;
    // When all of this was known; it is nothing if that was in another epoch than its memory's.
    uint32_t epoch;
    // Shared memory: whether the block has written the element, and whether an asynchronous copy
    // to it is under way.
    bool written;
    bool pending;
};

// Words that are zeros, or those of an earlier epoch. They take no memory until they are touched.
class Words {
public:
    Words() = default;
    Words(Words&& other) noexcept
        : words_(std::exchange(other.words_, nullptr)), bytes_(other.bytes_) {}
    ~Words() { release(); }

    void reset(size_t count) {
        if (words_ != nullptr && count * sizeof(Word) <= bytes_ && bytes_ <= KEPT_BYTES) {
            return;
        }
        release();
        bytes_ = std::max<size_t>(count, 1) * sizeof(Word);
        void* const mapping = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping == MAP_FAILED) {
            throw std::bad_alloc();
        }
        words_ = static_cast<Word*>(mapping);
    }
    Word& operator[](size_t i) { return words_[i]; }

private:
    void release() {
        if (words_ != nullptr) {
            munmap(words_, bytes_);
            words_ = nullptr;
        }
    }

    // More is given back to the system after each launch.
    static constexpr size_t KEPT_BYTES = 64 << 20;

    Word* words_ = nullptr;
    size_t bytes_ = 0;
};

// The largest element; what is larger is several.
constexpr size_t MOST_GRANULE = 4;

// An array, or a variable of shared memory.
class Memory {
public:
    bool shared = false;
    Region region = {};

    // `granule` is how many bytes are told apart as one element, 1, 2 or 4.
    void reset(const Region& whole, size_t granule) {
        region = whole;
        begin_ = reinterpret_cast<uintptr_t>(whole.begin);
        bytes_ = whole.bytes;
        granule_ = granule;
        words_.reset((begin_ % granule_ + bytes_ + granule_ - 1) / granule_);
    }
    // All that was known is forgotten.
    void begin(uint32_t now) {
        epoch_ = now;
        parts_.clear();
    }
    bool holds(uintptr_t address) const { return address - begin_ < bytes_; }

    // Calls visit(word, address, size) for all that is known of these bytes.
    template <typename Visit>
    void each_word(uintptr_t address, size_t size, Visit visit) {
        const uintptr_t end = address + size;
        while (address < end) {
            const uintptr_t offset = address % granule_;
            const uintptr_t next = std::min(end, address - offset + granule_);
            Word& word = words_[(address - begin_ + begin_ % granule_) / granule_];
            if (word.epoch != epoch_) {
                word = {};
                word.epoch = epoch_;
            }
            if (word.bytes == nullptr && next - address < granule_) {
                word.bytes = parts_.emplace_back().split(word);
            }
            if (word.bytes == nullptr) {
                visit(word, address, next - address);
            } else {
                for (uintptr_t i = offset; i < offset + (next - address); ++i) {
                    visit(word.bytes[i], address - offset + i, 1);
                }
            }
            address = next;
        }
    }

private:
    struct Parts {
        Word word[MOST_GRANULE];
        Word* split(const Word& whole) {
            std::fill_n(word, MOST_GRANULE, whole);
            return word;
        }
    };

    // Of a launch; of shared memory a block.
    uint32_t epoch_ = 0;
    uintptr_t begin_ = 0;
    size_t bytes_ = 0;
    size_t granule_ = 1;
    Words words_;
    std::deque<Parts> parts_;
};

// What each lane of each warp of the running block knows of the others: all that lane l did before
// its clock was seen[l] happened before what the lane does next.
class WarpClocks {
public:
    void reset(unsigned threads) { lanes_.assign((threads + WARP - 1) / WARP * WARP, Lane{}); }

    uint32_t now(unsigned thread) const { return lanes_[thread].seen[thread % WARP]; }

    // What the thread does from now on can be told from what it did before.
    void advance(unsigned thread) { ++lanes_[thread].seen[thread % WARP]; }

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
