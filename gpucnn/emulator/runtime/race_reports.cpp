#include "race_reports.h"

#include "surroundings.h"

namespace emulator {

namespace {

bool is_several(const Access& access) {
    return access.warp == SEVERAL_WARPS || (access.lanes & (access.lanes - 1)) != 0;
}

const char* kind_of(const Access& access, const char* kind) {
    return access.atomic ? "atomic operation" : kind;
}

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

}  // namespace

Maker::Maker(const Access& access) {
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

void note_other(const Access& access) {
    BlockRunner& runner = this_runner();
    runner.failure.other = place_of_return(runner.entry(), access.instruction);
}

void report_race(
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

void report_same_value(const UnsettledWrite& write) {
    char message[768];
    snprintf(message, sizeof message,
             "%s and %s write the same value to %s" EMULATOR_AT " and" EMULATOR_OTHER
             ", and nothing orders them; if that is intended, allow it (allow_same_value_writes)",
             Self(write.earlier).text, Maker(write.earlier).text,
             Element(write.memory->region, write.address).text);
    note_other(write.earlier);
    this_runner().fail_race(message, write.earlier.block == checks.block, write.access.instruction);
}

void report_misaligned(
    const char* name, size_t size, size_t alignment, const void* pointer) {
    report_access(FailureKind::MISALIGNED,
           "misaligned %s of %zu bytes" EMULATOR_AT ": the address of %s is no multiple of %zu", name,
           size, Location(pointer).text, alignment);
}

}  // namespace emulator
