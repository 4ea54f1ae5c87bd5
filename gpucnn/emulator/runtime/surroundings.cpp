#include "surroundings.h"

#include "guarded_arrays.h"
#include "shared_arena.h"

#include <cstdio>

namespace emulator {

namespace {

const LaunchRequest* known_launch = nullptr;

// What lies further away from an array than this, and than the array is long, is hardly meant for it.
constexpr int64_t NEAR = 4096;

struct Nearest {
    const Region* region = nullptr;
    int64_t distance = 0;

    Nearest(uintptr_t address, size_t size) {
        // In a gap that was made beside an array, the array is meant, however far away it is.
        const bool is_arrays_gap = is_near_guarded_array(address);
        for (uint64_t i = 0; known_launch != nullptr && i < known_launch->region_count; ++i) {
            look_at(known_launch->regions[i], address, size, is_arrays_gap);
        }
        const bool is_shared_gap = is_near_shared_arena(address);
        for (const Region& region : known_shared_regions()) {
            look_at(region, address, size, is_shared_gap);
        }
    }

private:
    void look_at(const Region& other, uintptr_t address, size_t size, bool is_gap) {
        const auto begin = reinterpret_cast<uintptr_t>(other.begin);
        const auto before = static_cast<int64_t>(begin - address - size);
        const auto behind = static_cast<int64_t>(address - begin - other.bytes);
        const int64_t away = before > behind ? before : behind;
        if (!is_gap && away > NEAR && away > static_cast<int64_t>(other.bytes)) {
            return;
        }
        if (region == nullptr || away < distance) {
            distance = away;
            region = &other;
        }
    }
};

// The number of the element of a region that an address is, or would be if there were more.
int64_t element_of(const Region& region, uintptr_t address) {
    const auto size = static_cast<int64_t>(region.element_bytes);
    const auto offset = static_cast<int64_t>(address - reinterpret_cast<uintptr_t>(region.begin));
    if (offset < 0) {
        return -((-offset + size - 1) / size);
    }
    return offset / size;
}

// The same of an access, which may begin inside.
uintptr_t outside(const Region& region, uintptr_t address, size_t size) {
    const auto begin = reinterpret_cast<uintptr_t>(region.begin);
    const bool inside = address - begin < region.bytes;
    return inside && address + size > begin + region.bytes ? begin + region.bytes : address;
}

}  // namespace

Element::Element(const Region& region, uintptr_t address, size_t size) {
    if (region.element_bytes == 0) {
        snprintf(text, sizeof text, "%s", region.name);
    } else {
        const int64_t number = element_of(region, outside(region, address, size));
        snprintf(text, sizeof text, "%s %lld of %s",
                 region.element_bytes == 1 ? "byte" : "element", static_cast<long long>(number),
                 region.name);
    }
}

Location::Location(const void* pointer) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const auto look_at = [&](const Region& region) {
        const bool inside = address - reinterpret_cast<uintptr_t>(region.begin) < region.bytes;
        if (inside) {
            snprintf(text, sizeof text, "%s", Element(region, address).text);
        }
        return inside;
    };
    for (uint64_t i = 0; known_launch != nullptr && i < known_launch->region_count; ++i) {
        if (look_at(known_launch->regions[i])) {
            return;
        }
    }
    for (const Region& region : known_shared_regions()) {
        if (look_at(region)) {
            return;
        }
    }
    snprintf(text, sizeof text, "what lies at %p", pointer);
}

bool is_uninitialised(uintptr_t address) {
    const uintptr_t high = address >> 40;
    return high == 0xfefefe || high == 0xfefefd || high == 0xfefeff || high == 0xaaaaaa;
}

void surround(const LaunchRequest* request) {
    known_launch = request;
}

StrayAccess::StrayAccess(const char* kind, size_t size, const void* pointer) {
    const int length =
        size == 0 ? snprintf(text, sizeof text, "out-of-bounds access" EMULATOR_AT)
                  : snprintf(text, sizeof text, "out-of-bounds %s of %zu bytes" EMULATOR_AT, kind, size);
    char* const rest = text + length;
    const size_t room = sizeof text - static_cast<size_t>(length);
    if (known_launch == nullptr || is_beyond_dynamic(pointer, rest, room)) {
        return;
    }
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const Nearest nearest(address, size);
    if (nearest.region == nullptr) {
        snprintf(rest, room, ": address %p is in no array of this launch", pointer);
    } else {
        snprintf(rest, room, ": %s", Element(*nearest.region, address, size).text);
    }
}

bool is_beside_array(const void* pointer, char* text, size_t text_bytes) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const Nearest nearest(address, 1);
    if (nearest.region != nullptr) {
        snprintf(text, text_bytes, ": %s", Element(*nearest.region, address).text);
    }
    return nearest.region != nullptr;
}

bool is_beyond_dynamic(const void* address, char* text, size_t text_bytes) {
    if (known_launch == nullptr) {
        return false;
    }
    const auto* dynamic = static_cast<const char*>(known_launch->shared->dynamic());
    const auto byte = static_cast<uint64_t>(static_cast<const char*>(address) - dynamic);
    if (dynamic == nullptr || byte < known_launch->shared_bytes || byte >= DYNAMIC_SHARED_BYTES) {
        return false;
    }
    snprintf(text, text_bytes,
             ": byte %llu of dynamic shared memory, of which the launch gave %llu bytes",
             static_cast<unsigned long long>(byte),
             static_cast<unsigned long long>(known_launch->shared_bytes));
    return true;
}

}  // namespace emulator
