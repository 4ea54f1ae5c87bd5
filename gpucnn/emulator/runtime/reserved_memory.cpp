#include "reserved_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace emulator {

namespace {

// The first that the system allows: a process may be limited in its address space.
constexpr size_t GAPS[] = {size_t{64} << 30, size_t{8} << 30, size_t{256} << 20, size_t{1} << 20};
// Room to grow without moving, so that addresses stay the same.
constexpr size_t LEAST_ROOM = 4 << 20;

size_t whole_pages(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

ReservedMemory::~ReservedMemory() {
    release();
}

void ReservedMemory::release() {
    if (mapping_ != nullptr) {
        munmap(mapping_, mapped_);
    }
    mapping_ = end_ = nullptr;
    mapped_ = bytes_ = 0;
}

bool ReservedMemory::reserve(size_t bytes) {
    release();
    const size_t room = std::max(whole_pages(bytes), LEAST_ROOM);
    for (const size_t gap : GAPS) {
        void* const mapping = mmap(nullptr, room + 2 * gap, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping != MAP_FAILED) {
            mapping_ = static_cast<char*>(mapping);
            mapped_ = room + 2 * gap;
            gap_ = gap;
            end_ = mapping_ + gap + room;
            return true;
        }
    }
    return false;
}

bool ReservedMemory::grow(size_t bytes) {
    if (bytes <= bytes_) {
        return true;
    }
    if ((mapping_ == nullptr || bytes > mapped_ - 2 * gap_) && !reserve(bytes)) {
        return false;
    }
    const size_t wanted = whole_pages(bytes);
    if (mprotect(end_ - wanted, wanted, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    bytes_ = wanted;
    return true;
}

void ReservedMemory::shrink(size_t kept) {
    if (bytes_ > kept) {
        release();
    }
}

bool ReservedMemory::holds(uintptr_t address) const {
    return mapping_ != nullptr && address - reinterpret_cast<uintptr_t>(mapping_) < mapped_;
}

}  // namespace emulator
