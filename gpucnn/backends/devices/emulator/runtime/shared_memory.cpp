// Where a module's shared memory lies: in its thread-local storage, a copy for each thread of the
// host, each of which runs one block at a time.
#include "launch.h"

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
    auto* anchor = static_cast<char*>(request.shared->anchor());
    for (uint64_t i = 0; i < request.variable_count; ++i) {
        const SharedVariable& variable = request.variables[i];
        regions.push_back({anchor + variable.offset, variable.bytes, 1, "a shared variable"});
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

#else

void check_shared(const Call& call, const void* address, size_t size) {
    const auto* begin = static_cast<const char*>(address);
    for (const Region& region : regions_of_thread()) {
        if (begin >= region.begin && begin + size <= region.begin + region.bytes) {
            return;
        }
    }
    fail(call, "%s at %p, where the block has no shared memory", call.name, address);
}

#endif

}  // namespace emulator
