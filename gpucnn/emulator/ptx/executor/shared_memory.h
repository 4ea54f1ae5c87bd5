// The shared memory of a block, and what is remembered of each word of it to find races.
//
// Two accesses of a word by different threads, one of them a write, race unless a barrier between
// them orders them. Each warp counts the barriers of the block that it has passed, and keeps the
// highest count that it has learnt of each other warp at a barrier; each lane does the same with
// bar.warp.sync and the lanes of its warp. An access is remembered with the counts that its thread
// had. It lies before what another thread does now if that thread knows of a later count.
//
// Of each word the last write is remembered, and the last two reads by different threads: whoever
// writes next races with one of them at least, if it races with any. So a report is always right,
// while a race with an earlier access may be missed.
#pragma once

#include "executor.h"

namespace ptx {

enum class Access : uint8_t { READ, WRITE, ATOMIC };

const char* word_for(Access kind);

class SharedMemory {
public:
    // For the next block: nothing is written, nothing has been accessed.
    void reset(const Launch& launch, unsigned warps);

    // Checks an access by a lane and remembers it; returns where the bytes are. `value` is what a
    // write writes.
    char* access(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes, Access kind,
                 const void* value = nullptr);

    // The same of a copy that has begun, during which nothing may touch the bytes, and its end.
    void begin_copy(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes);
    void end_copy(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes,
                  const void* value);

    // All that these warps, or these lanes of a warp, did is before what they do next.
    void join_warps(uint32_t warps);
    void join_lanes(unsigned warp, uint32_t lanes);

private:
    struct Record {
        uint16_t thread;
        uint8_t bytes;  // of the word, a bit each; 0: no access
        bool is_atomic;
        uint32_t pc, warp_clock, lane_clock;
    };
    struct Word {
        uint32_t block;     // that the rest of this is about
        uint8_t written;    // bytes, a bit each
        bool is_copied_to;  // by the copy that `write` remembers
        Record write, reads[2];
    };

    Word& word(uint32_t address);
    bool is_before(const Record& record, const Warp& warp, unsigned lane) const;
    [[noreturn]] void report_race(const Record& record, Access kind, const char* other,
                                  unsigned lane) const;
    Record recorded(const Warp& warp, unsigned lane, uint8_t bytes, bool is_atomic) const;
    void remember_read(Word& word, const Record& record, const Warp& warp, unsigned lane);
    void check_bounds(unsigned lane, uint32_t address, unsigned bytes) const;

    const Launch* launch_ = nullptr;
    uint32_t block_ = 0;
    std::vector<char> content_;
    std::vector<Word> words_;
    std::vector<uint32_t> warp_clocks_;  // (warp, other warp)
    std::vector<uint32_t> lane_clocks_;  // (warp, lane, other lane)
    unsigned warps_ = 0;
};

}  // namespace ptx
