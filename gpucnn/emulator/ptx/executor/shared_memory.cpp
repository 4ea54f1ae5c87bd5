#include "shared_memory.h"

#include <algorithm>

namespace ptx {

namespace {

constexpr unsigned WORD = 4;

}  // namespace

const char* word_for(Access kind) {
    return kind == Access::READ ? "read" : kind == Access::WRITE ? "write" : "atomic operation";
}

void SharedMemory::reset(const Launch& launch, unsigned warps) {
    launch_ = &launch;
    ++block_;
    warps_ = warps;
    content_.assign(launch.shared_bytes, char(0xff));
    words_.resize((launch.shared_bytes + WORD - 1) / WORD);
    warp_clocks_.assign(warps * warps, 0);
    lane_clocks_.assign(warps * LANES * LANES, 0);
    for (unsigned warp = 0; warp < warps; ++warp) {
        warp_clocks_[warp * warps + warp] = 1;
        for (unsigned lane = 0; lane < LANES; ++lane) {
            lane_clocks_[(warp * LANES + lane) * LANES + lane] = 1;
        }
    }
}

SharedMemory::Word& SharedMemory::word(uint32_t address) {
    Word& found = words_[address / WORD];
    if (found.block != block_) {
        found = {};
        found.block = block_;
    }
    return found;
}

bool SharedMemory::is_before(const Record& record, const Warp& warp, unsigned lane) const {
    const unsigned other = record.thread / LANES;
    if (record.thread == warp.thread(lane) ||
        warp_clocks_[warp.index * warps_ + other] > record.warp_clock) {
        return true;
    }
    const unsigned place = (warp.index * LANES + lane) * LANES + record.thread % LANES;
    return other == warp.index && lane_clocks_[place] > record.lane_clock;
}

void SharedMemory::report_race(const Record& record, Access kind, const char* other,
                               unsigned lane) const {
    throw Failure{RACE, lane, std::string(word_for(kind)) + "|" + other, record.pc, record.thread};
}

SharedMemory::Record SharedMemory::recorded(const Warp& warp, unsigned lane, uint8_t bytes,
                                            bool is_atomic) const {
    return {uint16_t(warp.thread(lane)), bytes, is_atomic, warp.pc,
            warp_clocks_[warp.index * warps_ + warp.index],
            lane_clocks_[(warp.index * LANES + lane) * LANES + lane]};
}

void SharedMemory::remember_read(Word& word, const Record& record, const Warp& warp,
                                 unsigned lane) {
    for (Record& read : word.reads) {
        if (read.bytes == 0 || read.thread == record.thread || is_before(read, warp, lane)) {
            read = record;
            return;
        }
    }
    word.reads[1] = record;
}

void SharedMemory::check_bounds(unsigned lane, uint32_t address, unsigned bytes) const {
    for (unsigned k = 0; k < launch_->shared_count; ++k) {
        const SharedVariable& variable = launch_->shared[k];
        const uint32_t offset = address - variable.begin;
        if (offset <= variable.bytes && bytes <= variable.bytes - offset) {
            return;
        }
    }
    throw Failure{OUT_OF_BOUNDS, lane, "shared|" + std::to_string(address)};
}

char* SharedMemory::access(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes,
                           Access kind, const void* value) {
    check_bounds(lane, address, bytes);
    const auto* values = static_cast<const char*>(value);
    for (uint32_t at = address; at < address + bytes;) {
        const unsigned first = at % WORD;
        const unsigned count = std::min<unsigned>(WORD - first, address + bytes - at);
        const auto touched = uint8_t(((1u << count) - 1) << first);
        Word& w = word(at);
        if (w.is_copied_to) {
            report_race(w.write, kind, "asynchronous copy", lane);
        }
        if (kind != Access::WRITE && (w.written & touched) != touched) {
            throw Failure{UNINITIALISED, lane, std::to_string(at)};
        }
        const bool may_overlap = kind == Access::ATOMIC && w.write.is_atomic;
        if (w.write.bytes & touched && !may_overlap && !is_before(w.write, warp, lane)) {
            const bool is_same = values && launch_->allow_same_value_writes &&
                                 std::memcmp(&content_[at], values + (at - address), count) == 0;
            if (!is_same) {
                report_race(w.write, kind, w.write.is_atomic ? "atomic operation" : "write", lane);
            }
        }
        const Record record = recorded(warp, lane, touched, kind == Access::ATOMIC);
        if (kind == Access::READ) {
            remember_read(w, record, warp, lane);
        } else {
            for (const Record& read : w.reads) {
                if (read.bytes & touched && !is_before(read, warp, lane)) {
                    report_race(read, kind, "read", lane);
                }
            }
            w.write = record;
            w.written |= touched;
        }
        at += count;
    }
    return &content_[address];
}

void SharedMemory::begin_copy(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes) {
    access(warp, lane, address, bytes, Access::WRITE);
    for (uint32_t at = address; at < address + bytes; at += WORD) {
        word(at).is_copied_to = true;
    }
    std::memset(&content_[address], 0xff, bytes);
}

void SharedMemory::end_copy(const Warp& warp, unsigned lane, uint32_t address, unsigned bytes,
                            const void* value) {
    for (uint32_t at = address; at < address + bytes; at += WORD) {
        Word& w = word(at);
        const uint32_t pc = w.write.pc;
        w.write = recorded(warp, lane, 15, false);
        w.write.pc = pc;
        w.is_copied_to = false;
    }
    std::memcpy(&content_[address], value, bytes);
}

void SharedMemory::join_warps(uint32_t warps) {
    std::vector<uint32_t> latest(warps_, 0);
    for_lanes(warps, [&](unsigned warp) {
        for (unsigned other = 0; other < warps_; ++other) {
            latest[other] = std::max(latest[other], warp_clocks_[warp * warps_ + other]);
        }
    });
    for_lanes(warps, [&](unsigned warp) { latest[warp] += 1; });
    for_lanes(warps, [&](unsigned warp) {
        std::copy(latest.begin(), latest.end(), warp_clocks_.begin() + warp * warps_);
    });
}

void SharedMemory::join_lanes(unsigned warp, uint32_t lanes) {
    uint32_t latest[LANES] = {};
    uint32_t* clocks = lane_clocks_.data() + warp * LANES * LANES;
    for_lanes(lanes, [&](unsigned lane) {
        for (unsigned other = 0; other < LANES; ++other) {
            latest[other] = std::max(latest[other], clocks[lane * LANES + other]);
        }
    });
    for_lanes(lanes, [&](unsigned lane) { latest[lane] += 1; });
    for_lanes(lanes, [&](unsigned lane) {
        std::copy(latest, latest + LANES, clocks + lane * LANES);
    });
}

}  // namespace ptx
