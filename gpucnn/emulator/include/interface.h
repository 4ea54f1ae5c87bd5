// What kernels and the runtime say to each other.
//
// A thread of a kernel is a fiber. It runs until it reaches a collective (a barrier, a shuffle, a
// vote, ...), where it waits for the others that take part.
#pragma once

#include <cstddef>
#include <cstdint>

#include "failure_kind.h"

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 sizes) : x(sizes.x), y(sizes.y), z(sizes.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};

// For functions of the emulator's own in a module, which race mode is not to check.
#define EMULATOR_UNCHECKED __attribute__((no_sanitize_thread))

namespace emulator {

// Which thread of which block is running on this thread of the host.
struct Place {
    uint3 thread;
    uint3 block;
    dim3 block_size;
    dim3 grid_size;
};
// Initial-exec: kernels read it often, and find it without a call.
extern constinit thread_local Place place __attribute__((tls_model("initial-exec")));

// One place in the source where threads meet.
struct Call {
    const char* name;
    const char* file;
    int line;
    // Tells the calls of a line apart. Of a macro's call a number of its own, which no other has in
    // the module; of a function's the column, negative.
    int number;
};

// Waits at this call for all threads of the block that have not left the kernel. `operands` is this
// thread's; once all are there, `combine` sees those of each, in any order.
using Combine = void (*)(void** operands, unsigned count);
void block_collective(const Call& call, void* operands = nullptr, Combine combine = nullptr);

// Waits for the lanes of `mask` at this call, all with the same mask. `combine` sees 32 operands,
// null for lanes that take no part. Without one it is a barrier, which orders accesses of memory.
// Lanes of the mask that have left the kernel are an error, or take no part.
using CombineLanes = void (*)(void** lanes);
enum class Left { REFUSED, PASSED_OVER };
void warp_collective(
    const Call& call, unsigned mask, void* operands = nullptr, CombineLanes combine = nullptr,
    Left left = Left::REFUSED);

// This thread's lane of its warp, 0 to 31.
unsigned lane();

// The lanes of its warp that are at this call when nothing else in the block can go on.
unsigned converge(const Call& call);

// Whether a lane of its warp has left the kernel.
bool has_left(unsigned lane);

// Ends the launch with an error at the running thread's place. Without a kind, it is a collective that
// cannot complete.
[[noreturn]] void fail(const Call& call, FailureKind kind, const char* format, ...)
    __attribute__((format(printf, 3, 4)));
[[noreturn]] void fail(const Call& call, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

// An access of `size` bytes that the compiler does not see: its address must be a multiple of its
// size, and race mode holds it against all others.
enum class Use { READ, WRITE, ATOMIC };
void check_access(const Call& call, const void* address, size_t size, Use use);

// Race mode: what this thread did until now, others see who learn of it by an atomic operation.
void fence_memory();

// Ends the launch if the bytes are not the block's shared memory.
void check_shared(const Call& call, const void* address, size_t size);

// Asynchronous copies to shared memory, in groups of the thread's own. A copy is done at once or
// only at the wait, as the seed decides; until then its destination is poison. Bytes beyond the
// source's are zeros.
void async_copy(
    const Call& call, void* to, const void* from, size_t bytes, size_t source_bytes);
void async_commit();
// Waits for all groups but the last `pending`.
void async_wait(const Call& call, unsigned pending);

// How the launch's tensor cores accumulate (tensor_core.h).
struct TensorCore {
    // Bits that are kept below the largest exponent; 0 if each addition is rounded to nearest.
    uint32_t fraction_bits;
    // Of operands of 16 bits, that are added at once; of TF32 half as many.
    uint32_t products;
    // What terms are aligned to if all are smaller.
    int32_t least_exponent;
};
const TensorCore& tensor_core();

}  // namespace emulator
