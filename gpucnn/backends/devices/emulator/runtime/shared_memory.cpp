// Where a module's shared memory lies: in its thread-local storage, a copy for each thread of the
// host, each of which runs one block at a time.
#include <link.h>

#include <unordered_map>

#include "launch.h"

namespace emulator {

namespace {

struct Search {
    uintptr_t inside;
    char* begin;
    size_t bytes;
};

bool contains(const dl_phdr_info& module, uintptr_t address) {
    for (int i = 0; i < module.dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = module.dlpi_phdr[i];
        const uintptr_t begin = module.dlpi_addr + segment.p_vaddr;
        if (segment.p_type == PT_LOAD && address >= begin && address - begin < segment.p_memsz) {
            return true;
        }
    }
    return false;
}

int visit(dl_phdr_info* module, size_t, void* data) {
    auto* search = static_cast<Search*>(data);
    if (!contains(*module, search->inside)) {
        return 0;
    }
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        if (module->dlpi_phdr[i].p_type == PT_TLS) {
            search->begin = static_cast<char*>(module->dlpi_tls_data);
            search->bytes = module->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

// The thread-local storage of a module on this thread.
Search find_storage(const SharedMemory& shared) {
    shared.anchor();  // Makes the system allocate it.
    Search search = {reinterpret_cast<uintptr_t>(shared.anchor), nullptr, 0};
    dl_iterate_phdr(visit, &search);
    return search;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__)

// Static shared memory is ordinary memory here, with the sanitizer's red zones.
SharedRanges shared_ranges(const SharedMemory& shared, size_t dynamic_bytes) {
    auto* dynamic = static_cast<char*>(shared.dynamic());
    return {{nullptr, nullptr, dynamic}, {0, 0, dynamic == nullptr ? 0 : dynamic_bytes}};
}

#else

SharedRanges shared_ranges(const SharedMemory& shared, size_t dynamic_bytes) {
    static thread_local std::unordered_map<const SharedMemory*, Search> known;
    auto [place, is_new] = known.try_emplace(&shared);
    Search& storage = place->second;
    if (is_new) {
        storage = find_storage(shared);
    }
    auto* dynamic = static_cast<char*>(shared.dynamic());
    if (dynamic == nullptr) {
        return {{storage.begin, nullptr, nullptr}, {storage.bytes, 0, 0}};
    }
    // The array of dynamic shared memory has the size of the largest GPU's, at whose end other
    // variables may lie.
    char* behind = dynamic + DYNAMIC_SHARED_BYTES;
    return {{storage.begin, behind, dynamic},
            {static_cast<size_t>(dynamic - storage.begin),
             static_cast<size_t>(storage.begin + storage.bytes - behind), dynamic_bytes}};
}

#endif

}  // namespace emulator
