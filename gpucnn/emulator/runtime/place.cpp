#include "place.h"

#include <dlfcn.h>
#include <unwind.h>

namespace emulator {

namespace {

// Where the library begins in which an address lies; null for none.
const void* base_of(const void* address) {
    Dl_info library;
    return dladdr(address, &library) != 0 ? library.dli_fbase : nullptr;
}

void add(SourcePlace& place, const void* base, uintptr_t instruction) {
    if (base != nullptr && place.count < SourcePlace::MOST &&
        base_of(reinterpret_cast<const void*>(instruction)) == base) {
        place.frames[place.count++] = instruction - reinterpret_cast<uintptr_t>(base);
    }
}

struct Walk {
    SourcePlace& place;
    const void* base;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* data) {
    auto& walk = *static_cast<Walk*>(data);
    int is_exact = 0;
    const uintptr_t instruction = _Unwind_GetIPInfo(context, &is_exact);
    // A call returns to the instruction behind it, which may be of another line.
    add(walk.place, walk.base, is_exact != 0 ? instruction : instruction - 1);
    return walk.place.count < SourcePlace::MOST ? _URC_NO_REASON : _URC_END_OF_STACK;
}

}  // namespace

void add_frames(SourcePlace& place, const void* entry) {
    Walk walk = {place, base_of(entry)};
    _Unwind_Backtrace(visit, &walk);
}

SourcePlace place_of_return(const void* entry, const void* instruction) {
    SourcePlace place;
    add(place, base_of(entry), reinterpret_cast<uintptr_t>(instruction) - 1);
    return place;
}

bool in_module(const void* entry, const void* instruction) {
    return base_of(instruction) == base_of(entry);
}

}  // namespace emulator
