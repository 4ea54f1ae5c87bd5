// A launch: blocks spread over threads of the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../include/module.h"
#include "block.h"
#include "place.h"
#include "stop.h"

extern "C" {

struct Region {
    char* begin;
    uint64_t bytes;
    // Messages count elements of this size; 0 if they are to count nothing.
    uint64_t element_bytes;
    const char* name;
    // Of an argument: where its address lies among the arguments, in bytes.
    uint64_t place = 0;
};

// A variable of static shared memory: its distance from the module's anchor, and its name for
// messages.
struct SharedVariable {
    int64_t offset;
    uint64_t bytes;
    const char* name;
};

struct LaunchRequest {
    const char* kernel;
    void (*entry)(const char* arguments);
    const emulator::SharedMemory* shared;
    const SharedVariable* variables;
    uint64_t variable_count;
    const char* arguments;
    // The arrays among the arguments, with which race mode compares accesses, and which messages
    // name; in fast mode only if they are guarded.
    const Region* regions;
    uint64_t region_count;
    uint32_t grid[3];
    uint32_t block[3];
    uint64_t shared_bytes;
    uint64_t seed;
    uint32_t workers;
    // Whether the module was compiled for race mode.
    uint32_t checked;
    emulator::StopRequest stop;
    // Of all arguments.
    uint64_t argument_bytes;
    // Arrays of at most this size are copied into memory of their own for the launch; 0 for none.
    uint64_t guarded_bytes;
    // Race mode: whether several threads may write the same value to one place.
    uint32_t allow_same_value_writes;
    // Whether arguments are addresses, or arrays of these, of memory of which nothing is known.
    uint32_t has_addresses;
    emulator::TensorCore tensor_core;
};

// 0; 1 with `failure` filled in; or 2 if the user has interrupted it.
int emulator_launch(const LaunchRequest* request, emulator::LaunchFailure* failure);

}  // extern "C"

namespace emulator {

// What a message says if nothing is known of the thread and the line.
constexpr char SEARCH_ADVICE[] = "; run it in race mode, which reports the thread and the line";

// What shared memory is filled with: NaN as a float, −1 as an int.
constexpr int POISON = 0xff;

// Where a launch's shared memory is on this thread of the host.
const std::vector<Region>& shared_regions(const LaunchRequest& request);
// The same, of the launch that this thread works on.
const std::vector<Region>& known_shared_regions();

// Around a launch's work on a thread of the host: dynamic shared memory behind what the launch gave
// is poison. If it gave none, it cannot be accessed at all.
class DynamicGuard {
public:
    explicit DynamicGuard(const LaunchRequest& request);
    ~DynamicGuard();
    DynamicGuard(const DynamicGuard&) = delete;
    DynamicGuard& operator=(const DynamicGuard&) = delete;

private:
    char* begin_ = nullptr;
    size_t bytes_ = 0;
};

// An access of these bytes, of whatever alignment, by the kernel's call that returns to
// `instruction`.
void check_bytes(
    const Call& call, const void* instruction, const void* address, size_t size, Use use);
void check_aligned(
    const Call& call, const void* instruction, const void* address, size_t size, Use use);
[[noreturn]] void fail_misaligned(const Call& call, size_t size, const void* address, Use use);

// Race mode: a copy to these bytes is under way, or it is done.
void mark_pending(const void* address, size_t size, bool pending);

// Makes faults of the processor (SIGSEGV, SIGBUS, SIGFPE, SIGILL) failures of the running launch. Each
// thread of the host needs a stack for signals, since a fault may be that of a full stack.
void catch_faults();
void use_signal_stack();
// The kernel that messages name if the process ends.
void suspect(const char* kernel);
// What a fault could not access, for the address sanitizer's reports; null for none.
const void* faulting_address();

// The instruction at which a signal's handler has interrupted the thread.
const void* interrupted_instruction(void* context);

// Race mode: before a launch and before each of its blocks.
void begin_launch_checks(const LaunchRequest& request);
void begin_block_checks(const std::vector<Region>& shared, uint3 index, unsigned threads);

}  // namespace emulator
