// Race mode: every access of a kernel is held against what the block did before.
//
// The compiler (-fsanitize=thread) puts a call before each access; these are the functions called,
// in place of the thread sanitizer's own. For each 4 bytes of shared memory and of the arrays
// passed to the kernel they keep the last write and the last read: by which block and thread, and
// when. Two accesses of the same bytes are in order if one thread made both, if a barrier of the
// block lies between them, or, within a warp, a warp collective. Otherwise, one of them being a
// write, they are a race. Blocks are never in order.
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <link.h>

#include "launch.h"

namespace emulator {

namespace {

constexpr uint16_t SEVERAL = 0xffff;  // Readers, in place of a thread's number.

struct Access {
    const void* instruction;
    uint32_t block;  // Counted from 1; 0: there was none.
    uint32_t interval;
    uint32_t warp_clock;
    uint16_t thread;
    uint8_t bytes;  // A bit for each of the 4.
    bool atomic;
};

struct Word {
    Access write;
    Access read;
    uint8_t written;  // A bit for each byte that this block has written.
};

struct Memory {
    uintptr_t begin = 0;
    size_t bytes = 0;
    bool shared = false;
    std::vector<Word> words;

    bool holds(uintptr_t address) const { return address - begin < bytes; }
    void reset(const void* first, size_t count) {
        begin = reinterpret_cast<uintptr_t>(first);
        bytes = count;
        words.assign((begin % 4 + count + 3) / 4, Word{});
    }
    Word& word(uintptr_t address) { return words[(address - begin / 4 * 4) / 4]; }
};

// Race mode runs all blocks on one thread of the host, so this needs no lock.
struct Checks {
    std::vector<Memory> arrays;
    std::vector<Memory> shared;
    // The module's own constants.
    uintptr_t module_begin = 0;
    size_t module_bytes = 0;
    uint32_t block = 0;
    bool on = false;
};
Checks checks;

struct Extent {
    uintptr_t inside, begin, end;
};

int find_module(dl_phdr_info* module, size_t, void* data) {
    auto* extent = static_cast<Extent*>(data);
    uintptr_t begin = UINTPTR_MAX, end = 0;
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = module->dlpi_phdr[i];
        if (segment.p_type == PT_LOAD) {
            const uintptr_t first = module->dlpi_addr + segment.p_vaddr;
            begin = first < begin ? first : begin;
            end = first + segment.p_memsz > end ? first + segment.p_memsz : end;
        }
    }
    if (extent->inside < begin || extent->inside >= end) {
        return 0;
    }
    extent->begin = begin;
    extent->end = end;
    return 1;
}

[[noreturn]] void report(const void* instruction, const void* other, const char* message) {
    BlockRunner& runner = this_runner();
    runner.failure.instruction = instruction;
    runner.failure.other_instruction = other;
    runner.fail(nullptr, 0, message);
}

bool in_order(const Access& earlier, const Access& later) {
    if (earlier.block != later.block) {
        return false;
    }
    if (earlier.interval != later.interval || earlier.thread == later.thread) {
        return true;
    }
    return earlier.thread != SEVERAL && earlier.thread / WARP == later.thread / WARP &&
           earlier.warp_clock < later.warp_clock;
}

bool at_odds(const Access& earlier, const Access& later) {
    return earlier.block != 0 && (earlier.bytes & later.bytes) != 0 &&
           !(earlier.atomic && later.atomic) && !in_order(earlier, later);
}

[[noreturn]] void report_race(const Access& earlier, const Access& later, const char* this_kind,
                              const char* kind, bool shared) {
    char who[96];
    if (earlier.block != later.block) {
        snprintf(who, sizeof who, "another block");
    } else if (earlier.thread == SEVERAL) {
        snprintf(who, sizeof who, "several threads");
    } else {
        const dim3 size = place.block_size;
        const unsigned t = earlier.thread;
        snprintf(who, sizeof who, "thread (%u, %u, %u)", t % size.x, t / size.x % size.y,
                 t / (size.x * size.y));
    }
    char message[256];
    snprintf(message, sizeof message, "data race in %s: this %s and the %s by %s, unordered",
             shared ? "shared memory" : "an array", this_kind, kind, who);
    report(later.instruction, earlier.instruction, message);
}

Access record(uint8_t bytes, Use use, const void* instruction) {
    const BlockRunner& runner = this_runner();
    const unsigned thread = runner.current();
    return {instruction, checks.block, runner.interval(), runner.thread(thread).warp_clock,
            static_cast<uint16_t>(thread), bytes, use == Use::ATOMIC};
}

void read_word(Memory& memory, Word& word, Access access) {
    if (memory.shared && (word.written & access.bytes) != access.bytes) {
        report(access.instruction, nullptr,
               "read of shared memory that this block has not written");
    }
    if (at_odds(word.write, access)) {
        report_race(word.write, access, "read", "write", memory.shared);
    }
    const Access& last = word.read;
    if (last.block == access.block && last.interval == access.interval &&
        last.thread != access.thread) {
        access.thread = SEVERAL;
        access.bytes |= last.bytes;
    }
    word.read = access;
}

void write_word(Memory& memory, Word& word, Access access) {
    if (at_odds(word.write, access)) {
        report_race(word.write, access, "write", "write", memory.shared);
    }
    if (at_odds(word.read, access)) {
        report_race(word.read, access, "write", "read", memory.shared);
    }
    word.write = access;
    word.written |= access.bytes;
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

void check(const void* pointer, size_t size, size_t alignment, Use use,
           const void* instruction) {
    if (!this_runner().running()) {
        return;
    }
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const char* const name = use == Use::READ ? "read" : "write";
    char message[160];
    if (address % alignment != 0) {
        snprintf(message, sizeof message, "misaligned %s of %zu bytes at %p",
                 name, size, pointer);
        report(instruction, nullptr, message);
    }
    Memory* memory = find_memory(address);
    if (memory == nullptr && is_own(address, use != Use::READ)) {
        return;
    }
    if (memory == nullptr || !memory->holds(address + size - 1)) {
        snprintf(message, sizeof message, "out-of-bounds %s of %zu bytes at %p, in no array of "
                 "this launch", name, size, pointer);
        report(instruction, nullptr, message);
    }
    for (size_t done = 0; done < size;) {
        const unsigned first = (address + done) % 4;
        const size_t rest = size - done;
        const size_t count = rest < 4 - first ? rest : 4 - first;
        const auto bytes = static_cast<uint8_t>(((1u << count) - 1) << first);
        Word& word = memory->word(address + done);
        (use == Use::READ ? read_word : write_word)(*memory, word, record(bytes, use, instruction));
        done += count;
    }
}

}  // namespace

void begin_launch_checks(const LaunchRequest& request) {
    checks.on = request.checked != 0;
    if (!checks.on) {
        return;
    }
    checks.arrays.resize(request.region_count);
    for (uint64_t i = 0; i < request.region_count; ++i) {
        checks.arrays[i].reset(request.regions[i].begin, request.regions[i].bytes);
    }
    Extent extent = {reinterpret_cast<uintptr_t>(request.entry), 0, 0};
    dl_iterate_phdr(find_module, &extent);
    checks.module_begin = extent.begin;
    checks.module_bytes = extent.end - extent.begin;
    checks.block = 0;
}

void begin_block_checks(const std::vector<Region>& shared) {
    if (!checks.on) {
        return;
    }
    checks.shared.resize(shared.size());
    for (size_t i = 0; i < shared.size(); ++i) {
        checks.shared[i].shared = true;
        checks.shared[i].reset(shared[i].begin, shared[i].bytes);
    }
    ++checks.block;
}

void check_access(const Call& call, const void* address, size_t size, Use use) {
    if (reinterpret_cast<uintptr_t>(address) % size != 0) {
        fail(call, "misaligned access of %zu bytes at %p by %s", size, address, call.name);
    }
    if (checks.on) {
        check(address, size, 1, use, __builtin_return_address(0));
    }
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
