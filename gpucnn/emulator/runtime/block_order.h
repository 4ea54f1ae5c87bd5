// How accesses of different blocks come to be in order: by a fence and an atomic operation of one
// block, and a later atomic operation of the other on the same word. That is how the last block of a
// grid learns that it is the last, and how a lock is handed on.
//
// A thread that has made a fence releases with each atomic operation what it did before, and what
// its block did before the barrier that came last. A thread acquires with each atomic operation what
// was released at that word; its block does with the next barrier.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shadow.h"

namespace emulator {

class BlockOrder {
public:
    void begin_launch() {
        releases_.clear();
        begin_block(0);
    }
    void begin_block(unsigned threads) {
        has_fence_.assign(threads, false);
        acquired_.clear();
        taken_.clear();
    }
    void fence(unsigned thread) { has_fence_[thread] = true; }

    // An atomic operation on memory that blocks share. Returns whether it has released anything:
    // what the thread does from now on is not a part of that.
    bool meet(uintptr_t address, const Access& access) {
        const auto found = releases_.find(address);
        if (found != releases_.end()) {
            size_t& taken = taken_[{address, access.thread}];
            for (; taken < found->second.size(); ++taken) {
                acquired_.push_back({found->second[taken], access});
            }
        }
        if (!has_fence_[access.thread]) {
            return false;
        }
        releases_[address].push_back(access);
        return true;
    }

    // Whether an access of another block came before one of the running thread.
    bool orders(const Access& earlier, const Access& later) const {
        for (const Acquired& acquired : acquired_) {
            if (acquired.release.block == earlier.block && precedes(earlier, acquired.release) &&
                (later.interval > acquired.by.interval || later.thread == acquired.by.thread)) {
                return true;
            }
        }
        return false;
    }

private:
    struct Acquired {
        Access release;
        Access by;
    };

    static bool precedes(const Access& earlier, const Access& release) {
        if (earlier.interval != release.interval) {
            return earlier.interval < release.interval;
        }
        return earlier.warp == release.warp && earlier.lanes == release.lanes &&
               earlier.clock <= release.clock;
    }

    // By the address of a word.
    std::unordered_map<uintptr_t, std::vector<Access>> releases_;
    // Of the running block: which threads have made a fence, and what has been acquired.
    std::vector<bool> has_fence_;
    std::vector<Acquired> acquired_;
    // How many of a word's releases a thread has acquired.
    std::map<std::pair<uintptr_t, unsigned>, size_t> taken_;
};

}  // namespace emulator
