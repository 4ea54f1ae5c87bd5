// Race mode: every access of a kernel is held against what others did before.
//
// The compiler (-fsanitize=thread) puts a call before each access; these are the functions called,
// in place of the thread sanitizer's own. For each element of shared memory, of the arrays passed
// to the kernel and of the module's own variables they keep the last write and the last reads: by
// which block and threads, and when. Two accesses are in order if one thread made both, if a
// barrier of the block lies between them, or, within a warp, a __syncwarp of both lanes; a vote or
// a shuffle orders nothing. Otherwise, one of them being a write, they are a race. Blocks are never
// in order.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <link.h>

#include "launch.h"
#include "shadow.h"
#include "surroundings.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {

namespace {

// A write, the earlier write that it is at odds with, and what that one has left in memory.
struct UnsettledWrite {
    Access access;
    Access earlier;
    const Memory* memory;
    uintptr_t address;
    size_t bytes;
    char left[MOST_GRANULE];
};

// Race mode runs all blocks on one thread of the host, so this needs no lock.
struct Checks {
    std::vector<Memory> arrays;
    std::vector<Memory> shared;
    WarpClocks clocks;
    // The module itself: its constants may be read, its variables are the last of `arrays`.
    uintptr_t module_begin = 0;
    size_t module_bytes = 0;
    // Blocks that have begun, the last of which is running, and their indices.
    uint32_t block = 0;
    std::vector<uint3> blocks;
    // Begun with each launch and each block, and never the same again.
    uint32_t epoch = 0;
    bool on = false;
    // A read of what is not written, and how many more accesses the block may make until it fails. A
    // missing barrier is often the cause: then a write follows, and is reported as a race.
    LaunchFailure unwritten;
    unsigned accesses_left = 0;
    // Writes of the running thread that are at odds with other writes. Whether they write the same
    // value is known only once they have been carried out.
    std::vector<UnsettledWrite> unsettled;
    bool are_same_values_allowed = false;
};
Checks checks;

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

void note_other(const Access& access) {
    BlockRunner& runner = this_runner();
    runner.failure.other = place_of_return(runner.entry(), access.instruction);
}

template <typename... Values>
[[noreturn]] void report(FailureKind kind, const char* format, const Values&... values) {
    char message[768];
    snprintf(message, sizeof message, format, values...);
    this_runner().fail(kind, message);
}

bool is_in_order(const Access& earlier, const Access& later) {
    if (earlier.block != later.block) {
        return false;
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

bool is_several(const Access& access) {
    return access.warp == SEVERAL_WARPS || (access.lanes & (access.lanes - 1)) != 0;
}

// Who made an access. If several did, and the last of them was the running thread, it is another.
struct Maker {
    explicit Maker(const Access& access) {
        const BlockRunner& runner = this_runner();
        const bool own_block = access.block == checks.block;
        unsigned thread = access.thread;
        if (own_block && thread == runner.current() && is_several(access)) {
            const uint32_t others = access.lanes & ~(1u << thread % WARP);
            if (access.warp == SEVERAL_WARPS || others == 0) {
                snprintf(text, sizeof text, "another thread");
                return;
            }
            thread = access.warp * WARP + static_cast<unsigned>(__builtin_ctz(others));
        }
        const uint3 index = runner.index(thread);
        const int length = snprintf(text, sizeof text, "thread (%u, %u, %u)", index.x, index.y,
                                    index.z);
        if (!own_block) {
            const uint3 block = checks.blocks[access.block - 1];
            snprintf(text + length, sizeof text - static_cast<size_t>(length),
                     " of block (%u, %u, %u)", block.x, block.y, block.z);
        }
    }
    char text[128];
};

const char* kind_of(const Access& access, const char* kind) {
    return access.atomic ? "atomic operation" : kind;
}

// What is known of the element at an address.
struct Subject {
    const Memory& memory;
    Word& word;
    uintptr_t address;
    size_t bytes;
};

// The running thread, with its block if an earlier access is of another one.
struct Self {
    explicit Self(const Access& earlier) {
        const uint3 thread = place.thread, block = place.block;
        const int length = snprintf(text, sizeof text, "thread (%u, %u, %u)", thread.x, thread.y,
                                    thread.z);
        if (earlier.block != checks.block) {
            snprintf(text + length, sizeof text - static_cast<size_t>(length),
                     " of block (%u, %u, %u)", block.x, block.y, block.z);
        }
    }
    char text[128];
};

[[noreturn]] void report_race(
    const Subject& subject, const Access& access, const char* access_kind, const Access& earlier,
    const char* earlier_kind) {
    char message[768];
    snprintf(message, sizeof message,
             "%s" EMULATOR_AT " by %s races with %s" EMULATOR_OTHER " by %s, both of %s",
             kind_of(access, access_kind), Self(earlier).text, kind_of(earlier, earlier_kind),
             Maker(earlier).text, Element(subject.memory.region, subject.address).text);
    note_other(earlier);
    this_runner().fail_race(message, earlier.block == checks.block, access.instruction);
}

[[noreturn]] void report_same_value(const UnsettledWrite& write) {
    char message[768];
    snprintf(message, sizeof message,
             "%s and %s write the same value to %s" EMULATOR_AT " and" EMULATOR_OTHER
             ", and nothing orders them; if that is intended, allow it (allow_same_value_writes)",
             Self(write.earlier).text, Maker(write.earlier).text,
             Element(write.memory->region, write.address).text);
    note_other(write.earlier);
    this_runner().fail_race(message, write.earlier.block == checks.block, write.access.instruction);
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
        report(FailureKind::RACE,
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
        report(FailureKind::RACE,
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

[[noreturn]] void report_misaligned(
    const char* name, size_t size, size_t alignment, const void* pointer) {
    report(FailureKind::MISALIGNED,
           "misaligned %s of %zu bytes" EMULATOR_AT ": the address of %s is no multiple of %zu", name,
           size, Location(pointer).text, alignment);
}

// `instruction` is where the access returns to.
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
    if (memory == nullptr && is_uninitialised(address)) {
        report(FailureKind::UNINITIALISED,
               "%s of %zu bytes" EMULATOR_AT " through a pointer that was never initialised", name,
               size);
    }
    if (address % alignment != 0) {
        report_misaligned(name, size, alignment, pointer);
    }
    if (memory == nullptr || !memory->holds(address + size - 1)) {
        report(FailureKind::OUT_OF_BOUNDS, "%s", StrayAccess(name, size, pointer).text);
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
}

}  // namespace

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
    checks.are_same_values_allowed = request.allow_same_value_writes != 0;
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

void mark_pending(const void* address, size_t size, bool pending) {
    if (!checks.on) {
        return;
    }
    const auto begin = reinterpret_cast<uintptr_t>(address);
    if (Memory* memory = find_memory(begin)) {
        memory->each_word(begin, size, [=](Word& word, uintptr_t, size_t) { word.pending = pending; });
    }
}

#if defined(__SANITIZE_ADDRESS__)

// Looked at here, at the thread's own access: a collective may make it in another's place.
void check_bytes(const Call& call, const void*, const void* address, size_t size, Use use) {
    void* const begin = const_cast<void*>(address);
    if (__asan_region_is_poisoned(begin, size) != nullptr) {
        const StrayAccess access(use == Use::READ ? "read" : "write", size, address);
        fail(call, FailureKind::OUT_OF_BOUNDS, "%s, by %s", access.text, call.name);
    }
}

#else

void check_bytes(
    const Call&, const void* instruction, const void* address, size_t size, Use use) {
    if (checks.on) {
        check(address, size, 1, use, instruction);
    }
}

#endif

void fail_misaligned(const Call& call, size_t size, const void* address, Use use) {
    fail(call, FailureKind::MISALIGNED,
         "misaligned %s of %zu bytes" EMULATOR_AT " by %s: the address of %s is no multiple of %zu",
         use == Use::READ ? "read" : "write", size, call.name, Location(address).text, size);
}

void check_aligned(
    const Call& call, const void* instruction, const void* address, size_t size, Use use) {
    if (reinterpret_cast<uintptr_t>(address) % size != 0) {
        fail_misaligned(call, size, address, use);
    }
    check_bytes(call, instruction, address, size, use);
}

void check_access(const Call& call, const void* address, size_t size, Use use) {
    check_aligned(call, __builtin_return_address(0), address, size, use);
}

}  // namespace emulator

// What -fsanitize=thread calls. g++ moves structures of 16 bytes in one access if they are aligned to
// 8; -fsanitize=alignment checks what is aligned to 16, such as float4.
#define ACCESS(name, size, alignment, use)                                                \
    extern "C" void name(const void* address) {                                           \
        emulator::check(address, size, alignment, use, __builtin_return_address(0));    \
    }

ACCESS(__tsan_read1, 1, 1, emulator::Use::READ)
ACCESS(__tsan_read2, 2, 2, emulator::Use::READ)
ACCESS(__tsan_read4, 4, 4, emulator::Use::READ)
ACCESS(__tsan_read8, 8, 8, emulator::Use::READ)
ACCESS(__tsan_read16, 16, 8, emulator::Use::READ)
ACCESS(__tsan_write1, 1, 1, emulator::Use::WRITE)
ACCESS(__tsan_write2, 2, 2, emulator::Use::WRITE)
ACCESS(__tsan_write4, 4, 4, emulator::Use::WRITE)
ACCESS(__tsan_write8, 8, 8, emulator::Use::WRITE)
ACCESS(__tsan_write16, 16, 8, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_read2, 2, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read4, 4, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read8, 8, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_read16, 16, 1, emulator::Use::READ)
ACCESS(__tsan_unaligned_write2, 2, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write4, 4, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write8, 8, 1, emulator::Use::WRITE)
ACCESS(__tsan_unaligned_write16, 16, 1, emulator::Use::WRITE)

extern "C" void __tsan_read_range(const void* address, size_t size) {
    emulator::check(address, size, 1, emulator::Use::READ, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(const void* address, size_t size) {
    emulator::check(address, size, 1, emulator::Use::WRITE, __builtin_return_address(0));
}
// A constructor sets the pointer to its class's virtual functions.
extern "C" void __tsan_vptr_update(void** address, void*) {
    emulator::check(address, sizeof(void*), sizeof(void*), emulator::Use::WRITE,
                    __builtin_return_address(0));
}
extern "C" void __tsan_func_entry(const void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
