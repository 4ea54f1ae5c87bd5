// What a launch's shared memory is: variables in the module's thread-local storage, a copy for each
// thread of the host, each of which runs one block at a time.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "launch.h"
#include "shared_arena.h"
#include "surroundings.h"

namespace emulator {

namespace {

// Of the launch that this thread of the host works on.
std::vector<Region>& regions_of_thread() {
    static thread_local std::vector<Region> regions;
    return regions;
}

}  // namespace

const std::vector<Region>& known_shared_regions() {
    return regions_of_thread();
}

const std::vector<Region>& shared_regions(const LaunchRequest& request) {
    std::vector<Region>& regions = regions_of_thread();
    regions.clear();
    use_shared_arena(reinterpret_cast<const void*>(request.entry));
    auto* anchor = static_cast<char*>(request.shared->anchor());
    for (uint64_t i = 0; i < request.variable_count; ++i) {
        const SharedVariable& variable = request.variables[i];
        regions.push_back({anchor + variable.offset, variable.bytes, 1, variable.name});
    }
    auto* dynamic = static_cast<char*>(request.shared->dynamic());
    if (dynamic != nullptr && request.shared_bytes > 0) {
        regions.push_back({dynamic, request.shared_bytes, 1, "dynamic shared memory"});
    }
    return regions;
}

#if defined(__SANITIZE_ADDRESS__)

// Static shared memory is like any other here, and the sanitizer checks the access itself.
void check_shared(const Call&, const void*, size_t) {}

// The sanitizer is told in sanitize_main.cpp what is not to be accessed, to the byte.
DynamicGuard::DynamicGuard(const LaunchRequest&) {}
DynamicGuard::~DynamicGuard() {}

#else

void check_shared(const Call& call, const void* address, size_t size) {
    const auto* begin = static_cast<const char*>(address);
    for (const Region& region : regions_of_thread()) {
        if (begin >= region.begin && begin + size <= region.begin + region.bytes) {
            return;
        }
    }
    char where[160] = ", where the block has no shared memory";
    is_beyond_dynamic(address, where, sizeof where);
    fail(call, FailureKind::OUT_OF_BOUNDS, "%s at %p%s", call.name, address, where);
}

namespace {

// Poison behind what a launch gave, in bytes.
constexpr size_t MARGIN = 1024;

}  // namespace

// Undone with each launch: the memory is the C library's, which may use it for something else when
// the thread or the module has gone. It takes longer than many a launch, so it is left to launches
// that forgot the bytes.
DynamicGuard::DynamicGuard(const LaunchRequest& request) {
    auto* dynamic = static_cast<char*>(request.shared->dynamic());
    if (dynamic == nullptr) {
        return;
    }
    const size_t rest = DYNAMIC_SHARED_BYTES - request.shared_bytes;
    memset(dynamic + request.shared_bytes, POISON, std::min(rest, MARGIN));
    if (request.shared_bytes == 0) {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t bytes = DYNAMIC_SHARED_BYTES / page * page;
        // Fails where pages are so large that the array does not begin with one.
        if (mprotect(dynamic, bytes, PROT_NONE) == 0) {
            begin_ = dynamic;
            bytes_ = bytes;
        }
    }
}

DynamicGuard::~DynamicGuard() {
    if (begin_ != nullptr) {
        mprotect(begin_, bytes_, PROT_READ | PROT_WRITE);
    }
}

#endif

}  // namespace emulator
