// Race mode: every access of a kernel is compared with those of others before it.
//
// For each element of shared memory, of the arrays passed to the kernel and of the module's own
// variables, the last write and the last reads are kept: by which block and threads, and when. Two
// accesses are in order if one thread made both, if a barrier of the block lies between them, or,
// within a warp, a __syncwarp of both lanes; a vote or a shuffle orders nothing. Otherwise, one of
// them being a write, they are a race. Blocks are in order only by fences and atomic operations
// (block_order.h).
//
// Two writes of the same value are reported in words of their own, or allowed. The compiler's call
// comes before a write, so what it writes is known only when the thread makes its next call: until then
// the write is unsettled, and what the earlier one has left in memory is kept. No other thread runs in
// between.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <link.h>

#include "race.h"
#include "race_reports.h"
#include "surroundings.h"

namespace emulator {

Checks checks;

namespace {

constexpr unsigned POSTPONED_ACCESSES = 1 << 20;

struct Extent {
    uintptr_t inside, begin, end, variables, variables_end;
};

int find_module(dl_phdr_info* module, size_t, void* data) {
    auto* extent = static_cast<Extent*>(data);
    uintptr_t begin = UINTPTR_MAX, end = 0, variables = 0, variables_end = 0;
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = module->dlpi_phdr[i];
        if (segment.p_type == PT_LOAD) {
            const uintptr_t first = module->dlpi_addr + segment.p_vaddr;
            begin = first < begin ? first : begin;
            end = first + segment.p_memsz > end ? first + segment.p_memsz : end;
            if ((segment.p_flags & PF_W) != 0) {
                variables = first;
                variables_end = first + segment.p_memsz;
            }
        }
    }
    if (extent->inside < begin || extent->inside >= end) {
        return 0;
    }
    *extent = {extent->inside, begin, end, variables, variables_end};
    return 1;
}

bool is_in_order(const Access& earlier, const Access& later) {
    if (earlier.block != later.block) {
        return checks.block_order.orders(earlier, later);
    }
    if (earlier.interval != later.interval) {
        return true;
    }
    return earlier.warp == later.warp &&
           checks.clocks.follows(this_runner().current(), earlier.lanes, earlier.clock);
}

bool at_odds(const Access& earlier, const Access& later) {
    return earlier.block != 0 && !(earlier.atomic && later.atomic) &&
           !is_in_order(earlier, later);
}

// Two writes at odds, of which the later is not yet carried out.
void keep_unsettled(const Subject& subject, const Access& access, const Access& earlier) {
    UnsettledWrite write = {access, earlier, &subject.memory, subject.address, subject.bytes, {}};
    memcpy(write.left, reinterpret_cast<const void*>(subject.address), subject.bytes);
    checks.unsettled.push_back(write);
}

Access record(Use use, const void* instruction) {
    const BlockRunner& runner = this_runner();
    const unsigned thread = runner.current();
    return {instruction, checks.block, runner.interval(), checks.clocks.now(thread),
            1u << thread % WARP, static_cast<uint16_t>(thread / WARP),
            static_cast<uint16_t>(thread), use == Use::ATOMIC};
}

// An access together with earlier ones that it need not come after.
Access joined(const Access& earlier, const Access& access) {
    if (earlier.block != access.block || earlier.interval != access.interval) {
        return access;
    }
    Access both = access;
    if (earlier.warp != access.warp) {
        both.warp = SEVERAL_WARPS;
    } else if (!checks.clocks.follows(this_runner().current(), earlier.lanes, earlier.clock)) {
        both.lanes |= earlier.lanes;
        both.clock = std::max(both.clock, earlier.clock);
    }
    return both;
}

void refuse_pending(const Subject& subject, const char* kind) {
    if (subject.memory.shared && subject.word.pending) {
        const Access& copy = subject.word.write;
        note_other(copy);
        report_access(FailureKind::RACE,
               "%s" EMULATOR_AT " of %s, whose asynchronous copy, begun by %s" EMULATOR_OTHER
               ", has not been waited for",
               kind, Element(subject.memory.region, subject.address).text,
               copy.thread == this_runner().current() ? "this thread" : Maker(copy).text);
    }
}

void refuse_unwritten(const Subject& subject) {
    if (!subject.memory.shared || subject.word.written || checks.accesses_left != 0) {
        return;
    }
    char message[512];
    snprintf(message, sizeof message,
             "read" EMULATOR_AT " of %s, which this block has not written",
             Element(subject.memory.region, subject.address).text);
    BlockRunner& runner = this_runner();
    runner.describe(FailureKind::UNINITIALISED, message);
    checks.unwritten = runner.failure;
    checks.accesses_left = POSTPONED_ACCESSES;
}

// Accesses of another block are kept: what this block does itself cannot put them in order.
void keep(Access& last, Access& earlier, const Access& access) {
    if (last.block != access.block) {
        earlier = last;
    }
}

void read_word(const Subject& subject, const Access& access) {
    Word& word = subject.word;
    refuse_pending(subject, "read");
    refuse_unwritten(subject);
    for (const Access* write : {&word.write, &word.earlier_write}) {
        if (at_odds(*write, access)) {
            report_race(subject, access, "read", *write, "write");
        }
    }
    keep(word.read, word.earlier_read, access);
    word.read = joined(word.read, access);
}

void write_word(const Subject& subject, const Access& access) {
    Word& word = subject.word;
    refuse_pending(subject, "write");
    if (access.atomic) {
        refuse_unwritten(subject);
    }
    for (const Access* read : {&word.read, &word.earlier_read}) {
        if (at_odds(*read, access)) {
            report_race(subject, access, "write", *read, "read");
        }
    }
    bool is_unsettled = false;
    for (const Access* write : {&word.write, &word.earlier_write}) {
        if (at_odds(*write, access)) {
            if (write->atomic || access.atomic) {
                report_race(subject, access, "write", *write, "write");
            }
            is_unsettled = true;
            keep_unsettled(subject, access, *write);
        }
    }
    keep(word.write, word.earlier_write, access);
    const bool is_joined = is_unsettled || (word.write.atomic && access.atomic);
    word.write = is_joined ? joined(word.write, access) : access;
    word.written = true;
}

// Until it is waited for, an asynchronous copy may still read what it copies.
void refuse_copied(const Memory& memory, uintptr_t address, size_t size) {
    const AsyncCopy* copy =
        memory.shared ? nullptr : this_runner().copies.reader_of(address, size);
    if (copy != nullptr) {
        note_other(record(Use::READ, copy->instruction));
        report_access(FailureKind::RACE,
               "write" EMULATOR_AT " of %s, which an asynchronous copy that was begun" EMULATOR_OTHER
               " may still read", Element(memory.region, address).text);
    }
}

Memory* find_memory(uintptr_t address) {
    for (Memory& memory : checks.shared) {
        if (memory.holds(address)) {
            return &memory;
        }
    }
    for (Memory& memory : checks.arrays) {
        if (memory.holds(address)) {
            return &memory;
        }
    }
    return nullptr;
}

bool is_own(uintptr_t address, bool write) {
    const BlockRunner& runner = this_runner();
    if (runner.on_stack(reinterpret_cast<const void*>(address))) {
        return true;
    }
    const bool is_place = address - reinterpret_cast<uintptr_t>(&place) < sizeof place;
    return !write && (is_place || address - checks.module_begin < checks.module_bytes);
}

}  // namespace

void check(const void* pointer, size_t size, size_t alignment, Use use, const void* instruction) {
    if (!this_runner().running() || size == 0) {
        return;
    }
    settle_writes();
    obey_stop();
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const char* const name = use == Use::READ ? "read" : "write";
    Memory* memory = find_memory(address);
    if (memory == nullptr && is_own(address, use != Use::READ)) {
        return;
    }
    if (memory == nullptr && checks.is_memory_unknown && !is_uninitialised(address)) {
        return;
    }
    if (memory == nullptr && is_uninitialised(address)) {
        report_access(FailureKind::UNINITIALISED,
               "%s of %zu bytes" EMULATOR_AT " through a pointer that was never initialised", name,
               size);
    }
    if (address % alignment != 0) {
        report_misaligned(name, size, alignment, pointer);
    }
    if (memory == nullptr || !memory->holds(address + size - 1)) {
        report_access(FailureKind::OUT_OF_BOUNDS, "%s", StrayAccess(name, size, pointer).text);
    }
    if (checks.accesses_left != 0 && --checks.accesses_left == 0) {
        checks.accesses_left = 1;
        this_runner().leave();
    }
    const Access access = record(use, instruction);
    if (use != Use::READ) {
        refuse_copied(*memory, address, size);
    }
    memory->each_word(address, size, [&](Word& word, uintptr_t at, size_t bytes) {
        (use == Use::READ ? read_word : write_word)({*memory, word, at, bytes}, access);
    });
    if (use == Use::ATOMIC && !memory->shared && checks.block_order.meet(address, access)) {
        checks.clocks.advance(this_runner().current());
    }
}

void begin_launch_checks(const LaunchRequest& request) {
    checks.on = request.checked != 0;
    checks.unsettled.clear();
    if (!checks.on) {
        return;
    }
    checks.arrays.resize(request.region_count + 1);
    checks.shared.clear();
    for (uint64_t i = 0; i < request.region_count; ++i) {
        checks.arrays[i].reset(request.regions[i],
                               std::min<size_t>(request.regions[i].element_bytes, MOST_GRANULE));
    }
    Extent extent = {reinterpret_cast<uintptr_t>(request.entry), 0, 0, 0, 0};
    dl_iterate_phdr(find_module, &extent);
    checks.module_begin = extent.begin;
    checks.module_bytes = extent.end - extent.begin;
    const Region variables = {reinterpret_cast<char*>(extent.variables),
                              extent.variables_end - extent.variables, 0, "a __device__ variable"};
    checks.arrays.back().reset(variables, MOST_GRANULE);
    ++checks.epoch;
    for (Memory& memory : checks.arrays) {
        memory.begin(checks.epoch);
    }
    checks.block = 0;
    checks.blocks.clear();
    checks.block_order.begin_launch();
    checks.are_same_values_allowed = request.allow_same_value_writes != 0;
    checks.is_memory_unknown = request.has_addresses != 0;
}

bool are_accesses_checked() {
    return checks.on;
}

void begin_block_checks(const std::vector<Region>& shared, uint3 index, unsigned threads) {
    if (!checks.on) {
        return;
    }
    if (checks.shared.size() != shared.size()) {
        checks.shared.resize(shared.size());
        for (size_t i = 0; i < shared.size(); ++i) {
            checks.shared[i].shared = true;
            checks.shared[i].reset(shared[i], MOST_GRANULE);
        }
    }
    ++checks.epoch;
    for (Memory& memory : checks.shared) {
        memory.begin(checks.epoch);
    }
    checks.clocks.reset(threads);
    checks.block_order.begin_block(threads);
    checks.accesses_left = 0;
    checks.unsettled.clear();
    ++checks.block;
    checks.blocks.push_back(index);
}

void settle_writes() {
    if (checks.unsettled.empty()) {
        return;
    }
    for (const UnsettledWrite& write : checks.unsettled) {
        if (memcmp(write.left, reinterpret_cast<const void*>(write.address), write.bytes) != 0) {
            Word unused = {};
            const Subject subject = {*write.memory, unused, write.address, write.bytes};
            report_race(subject, write.access, "write", write.earlier, "write");
        }
    }
    if (!checks.are_same_values_allowed) {
        report_same_value(checks.unsettled.front());
    }
    checks.unsettled.clear();
}

const LaunchFailure* postponed_failure() {
    return checks.on && checks.accesses_left != 0 ? &checks.unwritten : nullptr;
}

void order_lanes(unsigned first, uint32_t lanes) {
    if (checks.on) {
        checks.clocks.meet(first, lanes);
    }
}

void fence_memory() {
    if (checks.on && this_runner().running()) {
        checks.block_order.fence(this_runner().current());
    }
}

void mark_pending(const void* address, size_t size, bool pending) {
    if (!checks.on) {
        return;
    }
    const auto begin = reinterpret_cast<uintptr_t>(address);
    if (Memory* memory = find_memory(begin)) {
        memory->each_word(begin, size, [=](Word& word, uintptr_t, size_t) { word.pending = pending; });
    }
}

}  // namespace emulator
