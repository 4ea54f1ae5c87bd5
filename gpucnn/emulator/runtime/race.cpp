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

// Race mode runs all blocks on one thread of the host, so this needs no lock.
struct Checks {
    std::vector<Memory> arrays;
    std::vector<Memory> shared;
    WarpClocks clocks;
    // The module itself: its constants may be read, its variables are the last of `arrays`.
    uintptr_t module_begin = 0;
    size_t module_bytes = 0;
    uint32_t block = 0;
    // Begun with each launch and each block, and never the same again.
    uint32_t epoch = 0;
    bool on = false;
};
Checks checks;

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

[[noreturn]] void report(const char* message, const Access* other = nullptr) {
    BlockRunner& runner = this_runner();
    if (other != nullptr) {
        runner.failure.other = place_of_return(runner.entry(), other->instruction);
    }
    runner.fail(message);
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

// Who made an access, as the running thread sees it.
struct Maker {
    explicit Maker(const Access& access) {
        if (access.block != checks.block) {
            snprintf(text, sizeof text, "another block");
            return;
        }
        if (access.warp == SEVERAL_WARPS || (access.lanes & (access.lanes - 1)) != 0) {
            snprintf(text, sizeof text, "several threads");
            return;
        }
        const BlockRunner& runner = this_runner();
        const unsigned thread =
            access.warp * WARP + static_cast<unsigned>(__builtin_ctz(access.lanes));
        const uint3 index = runner.index(thread);
        if (thread == runner.current()) {
            snprintf(text, sizeof text, "this thread");
        } else {
            snprintf(text, sizeof text, "thread (%u, %u, %u)", index.x, index.y, index.z);
        }
    }
    char text[96];
};

[[noreturn]] void report_race(
    const Access& earlier, const char* this_kind, const char* kind, bool shared) {
    char message[256];
    snprintf(message, sizeof message, "data race in %s: this %s and the %s by %s, unordered",
             shared ? "shared memory" : "global memory", this_kind, kind, Maker(earlier).text);
    report(message, &earlier);
}

Access record(Use use, const void* instruction) {
    const BlockRunner& runner = this_runner();
    const unsigned thread = runner.current();
    return {instruction, checks.block, runner.interval(), checks.clocks.now(thread),
            1u << thread % WARP, static_cast<uint16_t>(thread / WARP), use == Use::ATOMIC};
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

void refuse_pending(const Memory& memory, const Word& word, const char* kind) {
    if (memory.shared && word.pending) {
        char message[256];
        snprintf(message, sizeof message,
                 "%s of shared memory whose asynchronous copy, begun by %s, has not been waited "
                 "for", kind, Maker(word.write).text);
        report(message, &word.write);
    }
}

void refuse_unwritten(const Memory& memory, const Word& word) {
    if (memory.shared && !word.written) {
        report("read of shared memory that this block has not written");
    }
}

// Accesses of another block are kept: what this block does itself cannot put them in order.
void keep(Access& last, Access& earlier, const Access& access) {
    if (last.block != access.block) {
        earlier = last;
    }
}

void read_word(const Memory& memory, Word& word, const Access& access) {
    refuse_pending(memory, word, "read");
    refuse_unwritten(memory, word);
    for (const Access* write : {&word.write, &word.earlier_write}) {
        if (at_odds(*write, access)) {
            report_race(*write, "read", "write", memory.shared);
        }
    }
    keep(word.read, word.earlier_read, access);
    word.read = joined(word.read, access);
}

void write_word(const Memory& memory, Word& word, const Access& access) {
    refuse_pending(memory, word, "write");
    if (access.atomic) {
        refuse_unwritten(memory, word);
    }
    for (const Access* read : {&word.read, &word.earlier_read}) {
        if (at_odds(*read, access)) {
            report_race(*read, "write", "read", memory.shared);
        }
    }
    for (const Access* write : {&word.write, &word.earlier_write}) {
        if (at_odds(*write, access)) {
            report_race(*write, "write", "write", memory.shared);
        }
    }
    keep(word.write, word.earlier_write, access);
    word.write = word.write.atomic && access.atomic ? joined(word.write, access) : access;
    word.written = true;
}

// Until it is waited for, an asynchronous copy may still read what it copies.
void refuse_copied(const Memory& memory, uintptr_t address, size_t size) {
    const AsyncCopy* copy =
        memory.shared ? nullptr : this_runner().copies.reader_of(address, size);
    if (copy != nullptr) {
        const Access reader = record(Use::READ, copy->instruction);
        report("write of memory that an asynchronous copy under way reads", &reader);
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

// `instruction` is where the access returns to.
void check(const void* pointer, size_t size, size_t alignment, Use use, const void* instruction) {
    if (!this_runner().running() || size == 0) {
        return;
    }
    obey_stop();
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const char* const name = use == Use::READ ? "read" : "write";
    Memory* memory = find_memory(address);
    if (memory == nullptr && is_own(address, use != Use::READ)) {
        return;
    }
    if (address % alignment != 0) {
        char message[160];
        snprintf(message, sizeof message, "misaligned %s of %zu bytes at %p",
                 name, size, pointer);
        report(message);
    }
    if (memory == nullptr || !memory->holds(address + size - 1)) {
        report(StrayAccess(name, size, pointer).text);
    }
    const Access access = record(use, instruction);
    if (use != Use::READ) {
        refuse_copied(*memory, address, size);
    }
    memory->each_word(address, size, [&](Word& word) {
        (use == Use::READ ? read_word : write_word)(*memory, word, access);
    });
}

}  // namespace

void begin_launch_checks(const LaunchRequest& request) {
    checks.on = request.checked != 0;
    if (!checks.on) {
        return;
    }
    checks.arrays.resize(request.region_count + 1);
    checks.shared.clear();
    for (uint64_t i = 0; i < request.region_count; ++i) {
        checks.arrays[i].reset(request.regions[i].begin, request.regions[i].bytes,
                               std::min<size_t>(request.regions[i].element_bytes, MOST_GRANULE));
    }
    Extent extent = {reinterpret_cast<uintptr_t>(request.entry), 0, 0, 0, 0};
    dl_iterate_phdr(find_module, &extent);
    checks.module_begin = extent.begin;
    checks.module_bytes = extent.end - extent.begin;
    checks.arrays.back().reset(reinterpret_cast<const void*>(extent.variables),
                               extent.variables_end - extent.variables, MOST_GRANULE);
    ++checks.epoch;
    for (Memory& memory : checks.arrays) {
        memory.begin(checks.epoch);
    }
    checks.block = 0;
}

void begin_block_checks(const std::vector<Region>& shared, unsigned threads) {
    if (!checks.on) {
        return;
    }
    if (checks.shared.size() != shared.size()) {
        checks.shared.resize(shared.size());
        for (size_t i = 0; i < shared.size(); ++i) {
            checks.shared[i].shared = true;
            checks.shared[i].reset(shared[i].begin, shared[i].bytes, MOST_GRANULE);
        }
    }
    ++checks.epoch;
    for (Memory& memory : checks.shared) {
        memory.begin(checks.epoch);
    }
    checks.clocks.reset(threads);
    ++checks.block;
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
        memory->each_word(begin, size, [=](Word& word) { word.pending = pending; });
    }
}

#if defined(__SANITIZE_ADDRESS__)

// Looked at here, at the thread's own access: a collective may make it in another's place.
void check_bytes(const Call& call, const void*, const void* address, size_t size, Use use) {
    void* const begin = const_cast<void*>(address);
    if (__asan_region_is_poisoned(begin, size) != nullptr) {
        const StrayAccess access(use == Use::READ ? "read" : "write", size, address);
        fail(call, "%s, by %s", access.text, call.name);
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

void check_aligned(
    const Call& call, const void* instruction, const void* address, size_t size, Use use) {
    if (reinterpret_cast<uintptr_t>(address) % size != 0) {
        fail(call, "misaligned access of %zu bytes at %p by %s", size, address, call.name);
    }
    check_bytes(call, instruction, address, size, use);
}

void check_access(const Call& call, const void* address, size_t size, Use use) {
    check_aligned(call, __builtin_return_address(0), address, size, use);
}

}  // namespace emulator

// What -fsanitize=thread calls.
#define ACCESS(name, size, alignment, use)                                                \
    extern "C" void name(const void* address) {                                           \
        emulator::check(address, size, alignment, use, __builtin_return_address(0));    \
    }

ACCESS(__tsan_read1, 1, 1, emulator::Use::READ)
ACCESS(__tsan_read2, 2, 2, emulator::Use::READ)
ACCESS(__tsan_read4, 4, 4, emulator::Use::READ)
ACCESS(__tsan_read8, 8, 8, emulator::Use::READ)
ACCESS(__tsan_read16, 16, 16, emulator::Use::READ)
ACCESS(__tsan_write1, 1, 1, emulator::Use::WRITE)
ACCESS(__tsan_write2, 2, 2, emulator::Use::WRITE)
ACCESS(__tsan_write4, 4, 4, emulator::Use::WRITE)
ACCESS(__tsan_write8, 8, 8, emulator::Use::WRITE)
ACCESS(__tsan_write16, 16, 16, emulator::Use::WRITE)
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
extern "C" void __tsan_func_entry(const void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
