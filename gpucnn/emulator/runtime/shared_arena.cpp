// Shared memory in pages of its own.
//
// The problem: shared memory is thread-local storage, which the C library takes from its heap. There a
// kernel that leaves an array overwrites what the C library and Python keep, and the process dies,
// often much later. The idea: a module asks the function __tls_get_addr where its thread-local storage
// is. The builder has the linker put our function in its place, which answers with memory that has
// inaccessible gaps of gigabytes on both sides. An access that misses an array by less then hits
// other shared memory, which a GPU would do, too, or a gap, which is a fault that names its line. The
// answer is not slower than the C library's. Where the linker or the compiler knows no such function,
// shared memory stays where it was.
#include "shared_arena.h"

#include <link.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "reserved_memory.h"

// The argument of __tls_get_addr, as the ABI has it.
struct TlsIndex {
    size_t module, offset;
};

extern "C" void* __tls_get_addr(TlsIndex* index);

namespace emulator {

#if defined(__SANITIZE_ADDRESS__)

// Static shared memory is like any other there, with the sanitizer's red zones.
void use_shared_arena(const void*) {}
bool is_near_shared_arena(uintptr_t) {
    return false;
}
SharedMargins::SharedMargins(const LaunchRequest&, const std::vector<Region>&) {}
const char* SharedMargins::damaged() const {
    return nullptr;
}

#else

namespace {

// The thread-local storage of a module.
struct Image {
    uintptr_t inside;
    size_t module, bytes, alignment, bias;
};

// Which module's storage lies in this thread's pages, and where.
struct Answer {
    size_t module;
    char* base;
};
constinit thread_local Answer answer __attribute__((tls_model("initial-exec"))) = {};

int find_image(dl_phdr_info* module, size_t, void* data) {
    auto* image = static_cast<Image*>(data);
    bool found = false;
    const ElfW(Phdr)* storage = nullptr;
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = module->dlpi_phdr[i];
        const uintptr_t begin = module->dlpi_addr + segment.p_vaddr;
        found |= segment.p_type == PT_LOAD && image->inside - begin < segment.p_memsz;
        if (segment.p_type == PT_TLS) {
            storage = &segment;
        }
    }
    if (found && storage != nullptr) {
        const size_t alignment = std::max<size_t>(storage->p_align, 1);
        *image = {image->inside, module->dlpi_tls_modid, storage->p_memsz, alignment,
                  storage->p_vaddr % alignment};
    }
    return found;
}

struct Arena {
    ReservedMemory memory;
    // By an address in the module. Modules are never unloaded.
    std::unordered_map<const void*, Image> images;
    const void* current = nullptr;
};

Arena& arena() {
    static thread_local Arena arena;
    return arena;
}

}  // namespace

void use_shared_arena(const void* entry) {
    Arena& own = arena();
    if (own.current == entry) {
        return;
    }
    auto known = own.images.find(entry);
    if (known == own.images.end()) {
        Image image = {reinterpret_cast<uintptr_t>(entry), 0, 0, 1, 0};
        dl_iterate_phdr(find_image, &image);
        known = own.images.emplace(entry, image).first;
    }
    const Image& image = known->second;
    // Margins on both sides, and room to align the beginning.
    answer = {};
    own.current = entry;
    if (image.module == 0 ||
        !own.memory.grow(image.bytes + 2 * MARGIN_BYTES + 2 * image.alignment)) {
        return;
    }
    const auto end = reinterpret_cast<uintptr_t>(own.memory.end());
    const uintptr_t base = (end - image.bytes - image.bias) / image.alignment * image.alignment;
    answer = {image.module, reinterpret_cast<char*>(base + image.bias)};
}

bool is_near_shared_arena(uintptr_t address) {
    return arena().memory.holds(address);
}

SharedMargins::SharedMargins(const LaunchRequest& request, const std::vector<Region>& regions) {
    if (answer.module == 0 || regions.empty()) {
        return;
    }
    std::vector<Region> taken = regions;
    // All of the dynamic array is: without bytes given it cannot be accessed.
    auto* const dynamic = static_cast<char*>(request.shared->dynamic());
    if (dynamic != nullptr) {
        if (request.shared_bytes > 0) {
            taken.pop_back();
            add(dynamic + request.shared_bytes, dynamic + DYNAMIC_SHARED_BYTES, regions.back());
        }
        taken.push_back({dynamic, DYNAMIC_SHARED_BYTES, 1, "dynamic shared memory"});
    }
    std::sort(taken.begin(), taken.end(),
              [](const Region& a, const Region& b) { return a.begin < b.begin; });
    char* free_from = arena().memory.begin();
    const Region* before = nullptr;
    for (const Region& region : taken) {
        // Half of a small gap is the margin of each side.
        char* const middle = before == nullptr ? free_from : free_from + (region.begin - free_from) / 2;
        if (before != nullptr) {
            add(free_from, middle, *before);
        }
        add(std::max(middle, region.begin - std::min<ptrdiff_t>(MARGIN_BYTES, region.begin - middle)),
            region.begin, region);
        free_from = region.begin + region.bytes;
        before = &region;
    }
    if (before != nullptr) {
        add(free_from, arena().memory.end(), *before);
    }
}

// As much of these bytes as a margin has.
void SharedMargins::add(char* begin, char* end, const Region& region) {
    if (begin < end) {
        const size_t bytes = std::min<size_t>(MARGIN_BYTES, static_cast<size_t>(end - begin));
        margins_.push_back({begin, bytes, region.name});
        memset(begin, POISON, bytes);
    }
}

const char* SharedMargins::damaged() const {
    static const std::vector<unsigned char> untouched(MARGIN_BYTES, POISON);
    for (const Margin& margin : margins_) {
        if (memcmp(margin.begin, untouched.data(), margin.bytes) != 0) {
            return margin.variable;
        }
    }
    return nullptr;
}

#endif

}  // namespace emulator

#if !defined(__SANITIZE_ADDRESS__)

// What modules call in place of __tls_get_addr; other storage than their own is still its business.
extern "C" void* __wrap___tls_get_addr(TlsIndex* index) {
    const emulator::Answer here = emulator::answer;
    if (index->module == here.module) {
        return here.base + index->offset;
    }
    return __tls_get_addr(index);
}

#endif
