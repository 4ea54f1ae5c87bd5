// cp.async: copies from global to shared memory that end some time before the thread has waited for
// them. Until then nobody may touch the bytes that they write, and those that they read may be read
// when the copy begins or when it is waited for, as the seed decides.
#include "memory.h"

namespace ptx {
namespace {

void begin_copy(Warp& w, const Instruction& i, unsigned lane, unsigned bytes, unsigned given) {
    const uint64_t from = address_of(w, i, 1, lane, 1);
    if (from % bytes != 0) {
        throw Failure{MISALIGNED, lane, "read|" + std::to_string(bytes) + "|" + std::to_string(from)};
    }
    const uint64_t to = address_of(w, i, 0, lane);
    if (to % bytes != 0) {
        throw Failure{MISALIGNED, lane, "write|" + std::to_string(bytes) + "|" + std::to_string(to)};
    }
    PendingCopy copy{uint32_t(to), bytes, {}, nullptr, given, w.pc};
    if (given > 0) {
        const char* source = resolve(w, i, lane, GLOBAL, from, given, 1, Access::READ);
        std::memcpy(copy.content, source, given);
        if (w.random.below(2)) {
            copy.from = source;
        }
    }
    w.block->shared.begin_copy(w, lane, copy.to, bytes);
    w.block->copies[w.thread(lane)].open.push_back(copy);
}

void end_copy(Warp& w, unsigned lane, PendingCopy& copy) {
    if (copy.from) {
        std::memcpy(copy.content, copy.from, copy.from_bytes);
    }
    w.block->shared.end_copy(w, lane, copy.to, copy.bytes, copy.content);
}

// With a predicate as the last operand nothing is read where it is true.
template <bool MAY_IGNORE>
void copy(Warp& w, const Instruction& i, uint32_t active) {
    const unsigned bytes = *w.in<uint32_t>(i, 2);  // 4, 8 or 16 (assembler.py)
    for_lanes(active, [&](unsigned lane) {
        unsigned given = bytes;
        if (MAY_IGNORE) {
            given = w.predicate(i, 3) >> lane & 1 ? 0 : bytes;
        } else if (i.operand[3] != NONE) {
            given = w.in<uint32_t>(i, 3)[lane];
            if (given > bytes) {
                throw Failure{OUT_OF_BOUNDS, lane, "copy|" + std::to_string(given) + "|" +
                                                       std::to_string(bytes)};
            }
        }
        begin_copy(w, i, lane, bytes, given);
    });
}

void commit(Warp& w, const Instruction&, uint32_t active) {
    for_lanes(active, [&](unsigned lane) {
        ThreadCopies& copies = w.block->copies[w.thread(lane)];
        copies.groups.push_back(std::move(copies.open));
        copies.open.clear();
    });
}

void wait_for(Warp& w, unsigned lane, size_t pending) {
    ThreadCopies& copies = w.block->copies[w.thread(lane)];
    while (copies.groups.size() > pending) {
        for (PendingCopy& each : copies.groups.front()) {
            end_copy(w, lane, each);
        }
        copies.groups.erase(copies.groups.begin());
    }
}

void wait_group(Warp& w, const Instruction& i, uint32_t active) {
    const uint32_t pending = *w.in<uint32_t>(i, 0);
    for_lanes(active, [&](unsigned lane) { wait_for(w, lane, pending); });
}

void wait_all(Warp& w, const Instruction& i, uint32_t active) {
    commit(w, i, active);
    for_lanes(active, [&](unsigned lane) { wait_for(w, lane, 0); });
}

}  // namespace

void add_copy_instructions(Table& t) {
    t.add("cp.async", "aa44?", copy<false>);
    t.add("cp.async.ignore_src", "aa4p", copy<true>);
    t.add("cp.async.commit_group", "", commit);
    t.add("cp.async.wait_group", "4", wait_group);
    t.add("cp.async.wait_all", "", wait_all);
}

}  // namespace ptx
