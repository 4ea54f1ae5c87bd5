// The problem: arrays lie side by side in the heap, so a wrong index may lead into another array of
// the launch, which looks right, or into memory of the C library or of Python, whose damage ends the
// process. The idea: each array is copied into pages of its own between gaps that no 32-bit index can
// step over, the kernel is given that address, and afterwards the array is copied back. Whatever is
// out of bounds then lies in a gap, or in the few bytes between the array and the gap, which race mode
// refuses like any others, and which otherwise are looked at after the launch.
//
// Arrays that overlap stay together. If the kernel is given an address inside an array by other means,
// in a structure or in an array of pointers, all arrays stay where they are.
#include "guarded_arrays.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace emulator {

namespace {

// An array's address keeps its remainder by this.
constexpr size_t ALIGNMENT = 64;
// Memory that is kept for the next launch, and arrays that are searched for addresses, are smaller.
constexpr size_t KEPT_BYTES = 16 << 20;
constexpr size_t SEARCHED_BYTES = 1 << 20;

// One launch at a time uses them.
std::vector<std::unique_ptr<ReservedMemory>>& memories() {
    static std::vector<std::unique_ptr<ReservedMemory>> memories;
    return memories;
}

bool is_in_array(const LaunchRequest& request, uint64_t address) {
    return std::any_of(request.regions, request.regions + request.region_count,
                       [=](const Region& region) {
                           return address - reinterpret_cast<uintptr_t>(region.begin) < region.bytes;
                       });
}

bool holds_addresses(const LaunchRequest& request, const char* begin, size_t bytes) {
    for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, begin + i, sizeof word);
        if (is_in_array(request, word)) {
            return true;
        }
    }
    return false;
}

// Whether the kernel knows the place of an array by more than its argument.
bool are_addresses_known(const LaunchRequest& request) {
    const auto* const given = request.arguments;
    std::vector<char> others(given, given + request.argument_bytes);
    for (uint64_t i = 0; i < request.region_count; ++i) {
        memset(others.data() + request.regions[i].place, 0, sizeof(uint64_t));
    }
    if (holds_addresses(request, others.data(), others.size())) {
        return true;
    }
    return std::any_of(request.regions, request.regions + request.region_count,
                       [&](const Region& region) {
                           return region.element_bytes == sizeof(uint64_t) &&
                                  region.bytes <= SEARCHED_BYTES &&
                                  holds_addresses(request, region.begin, region.bytes);
                       });
}

}  // namespace

ReservedMemory& array_memory(size_t number) {
    while (memories().size() <= number) {
        memories().push_back(std::make_unique<ReservedMemory>());
    }
    return *memories()[number];
}

bool is_near_guarded_array(uintptr_t address) {
    return std::any_of(memories().begin(), memories().end(),
                       [=](const auto& memory) { return memory->holds(address); });
}

GuardedArrays::GuardedArrays(const LaunchRequest& request) : moved_(request) {
    if (request.guarded_bytes == 0 || request.region_count == 0 || are_addresses_known(request)) {
        return;
    }
    regions_.assign(request.regions, request.regions + request.region_count);
    arguments_.resize((request.argument_bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    memcpy(arguments_.data(), request.arguments, request.argument_bytes);
    std::vector<size_t> order(regions_.size());
    for (size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return request.regions[a].begin < request.regions[b].begin; });
    for (size_t first = 0, number = 0; first < order.size(); ++number) {
        const char* reach = request.regions[order[first]].begin + request.regions[order[first]].bytes;
        size_t end = first + 1;
        while (end < order.size() && request.regions[order[end]].begin < reach) {
            const Region& region = request.regions[order[end++]];
            reach = std::max<const char*>(reach, region.begin + region.bytes);
        }
        if (!move(first, end, order, number)) {
            break;
        }
        first = end;
    }
    moved_.regions = regions_.data();
    moved_.arguments = reinterpret_cast<const char*>(arguments_.data());
}

// Moves a group of arrays; false if there is no memory for it.
bool GuardedArrays::move(
    size_t first, size_t end, const std::vector<size_t>& order, size_t number) {
    char* const from = regions_[order[first]].begin;
    const char* reach = from;
    for (size_t i = first; i < end; ++i) {
        reach = std::max<const char*>(reach, regions_[order[i]].begin + regions_[order[i]].bytes);
    }
    const auto bytes = static_cast<size_t>(reach - from);
    if (bytes == 0 || bytes > moved_.guarded_bytes) {
        return true;
    }
    ReservedMemory& memory = array_memory(number);
    if (!memory.grow(bytes + MARGIN_BYTES + ALIGNMENT)) {
        return false;
    }
    const auto place = reinterpret_cast<uintptr_t>(from) % ALIGNMENT;
    const auto last = reinterpret_cast<uintptr_t>(memory.end()) - bytes;
    char* const to = reinterpret_cast<char*>(last - (last - place) % ALIGNMENT);
    memset(to - MARGIN_BYTES, POISON, MARGIN_BYTES);
    memcpy(to, from, bytes);
    memset(to + bytes, POISON, static_cast<size_t>(memory.end() - to) - bytes);
    groups_.push_back({from, bytes, to, memory.end(), regions_[order[first]].name});
    for (size_t i = first; i < end; ++i) {
        Region& region = regions_[order[i]];
        region.begin = to + (region.begin - from);
        // A view with negative strides does not begin where its memory does.
        char* const argument = reinterpret_cast<char*>(arguments_.data()) + region.place;
        char* pointer;
        memcpy(&pointer, argument, sizeof pointer);
        pointer = to + (pointer - from);
        memcpy(argument, &pointer, sizeof pointer);
    }
    return true;
}

// An array that is only read may lie in memory that cannot be written.
GuardedArrays::~GuardedArrays() {
    for (const Group& group : groups_) {
        if (memcmp(group.from, group.to, group.bytes) != 0) {
            memcpy(group.from, group.to, group.bytes);
        }
    }
    for (const auto& memory : memories()) {
        memory->shrink(KEPT_BYTES);
    }
}

const char* GuardedArrays::damaged() const {
    const auto is_poison = [](char byte) { return static_cast<unsigned char>(byte) == POISON; };
    for (const Group& group : groups_) {
        char* const end = group.to + group.bytes;
        if (!std::all_of(group.to - MARGIN_BYTES, group.to, is_poison) ||
            !std::all_of(end, group.end, is_poison)) {
            return group.name;
        }
    }
    return nullptr;
}

}  // namespace emulator
