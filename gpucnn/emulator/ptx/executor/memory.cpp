// Loads and stores, and conversions of addresses.
#include "memory.h"

namespace ptx {
namespace {

[[noreturn]] void out_of_bounds(unsigned lane, Access kind, unsigned bytes, const char* space,
                                uint64_t address) {
    throw Failure{OUT_OF_BOUNDS, lane,
                  std::string(word_for(kind)) + "|" + std::to_string(bytes) + "|" + space + "|" +
                      std::to_string(address)};
}

char* local_memory(Warp& w, unsigned lane, uint64_t offset, unsigned bytes, Access kind) {
    const Launch& launch = *w.block->launch;
    if (offset > launch.local_bytes || bytes > launch.local_bytes - offset) {
        out_of_bounds(lane, kind, bytes, "local", offset);
    }
    return w.block->local.data() + size_t(w.thread(lane)) * launch.local_bytes + offset;
}

char* shared_memory(Warp& w, unsigned lane, uint64_t offset, unsigned bytes, Access kind,
                    const void* value) {
    if (offset > UINT32_MAX) {
        out_of_bounds(lane, kind, bytes, "shared", offset);
    }
    return w.block->shared.access(w, lane, uint32_t(offset), bytes, kind, value);
}

// Global memory, which is that of an array, or any of the host's if the launch was given addresses.
char* global_memory(const Launch& launch, unsigned lane, uint64_t address, unsigned bytes,
                    Access kind) {
    const uint64_t slot = slot_of(address) - FIRST_SLOT;
    if (address & DEVICE && slot < launch.array_count) {
        const Array& array = launch.arrays[slot];
        const uint64_t offset = address - array.begin;
        if (offset <= array.bytes && bytes <= array.bytes - offset) {
            return array.host + offset;
        }
    } else if (launch.may_use_host_addresses && !(address & DEVICE) &&
               address >= LOWEST_HOST_ADDRESS) {
        return reinterpret_cast<char*>(address);
    }
    out_of_bounds(lane, kind, bytes, "global", address);
}

char* parameter_memory(const Launch& launch, unsigned lane, uint64_t offset, unsigned bytes,
                       Access kind) {
    if (offset + bytes > launch.parameter_bytes || kind != Access::READ) {
        out_of_bounds(lane, kind, bytes, "parameter", offset);
    }
    return const_cast<char*>(launch.parameters) + offset;
}

// What a register of `width` bytes holds of a loaded T: extended by zeros or by the sign.
template <class T>
void put(Warp& w, const Instruction& i, unsigned operand, unsigned lane, T value) {
    if (i.operand[operand] == NONE) {
        return;
    }
    switch (i.width[0]) {
        case 2: w.out<uint16_t>(i, operand)[lane] = uint16_t(value); break;
        case 4: w.out<uint32_t>(i, operand)[lane] = uint32_t(value); break;
        case 8: w.out<uint64_t>(i, operand)[lane] = uint64_t(value); break;
        default: w.out<unsigned __int128>(i, operand)[lane] = (unsigned __int128)(value);
    }
}

template <class T>
T get(const Warp& w, const Instruction& i, unsigned operand, unsigned lane) {
    switch (i.width[0]) {
        case 2: return T(w.in<uint16_t>(i, operand)[lane]);
        case 4: return T(w.in<uint32_t>(i, operand)[lane]);
        case 8: return T(w.in<uint64_t>(i, operand)[lane]);
        default: return T(w.in<unsigned __int128>(i, operand)[lane]);
    }
}

template <class T>
void load(Warp& w, const Instruction& i, uint32_t active) {
    const unsigned bytes = sizeof(T) * i.count;
    for_lanes(active, [&](unsigned lane) {
        const uint64_t address = address_of(w, i, i.count, lane);
        const char* from = resolve(w, i, lane, Space(i.space), address, bytes, bytes, Access::READ);
        T values[8];
        std::memcpy(values, from, bytes);
        for (unsigned k = 0; k < i.count; ++k) {
            put(w, i, k, lane, values[k]);
        }
    });
}

template <class T>
void store(Warp& w, const Instruction& i, uint32_t active) {
    const unsigned bytes = sizeof(T) * i.count;
    for_lanes(active, [&](unsigned lane) {
        T values[8];
        for (unsigned k = 0; k < i.count; ++k) {
            values[k] = get<T>(w, i, 1 + k, lane);
        }
        const uint64_t address = address_of(w, i, 0, lane);
        char* to = resolve(w, i, lane, Space(i.space), address, bytes, bytes, Access::WRITE, values);
        std::memcpy(to, values, bytes);
    });
}

// cvta: between addresses of shared or local memory and generic ones; those of global memory are
// generic. `immediate` is the address at which the window of the space begins.
void to_generic(Warp& w, const Instruction& i, uint32_t active) {
    const uint64_t* a = w.in<uint64_t>(i, 1);
    const uint64_t window = uint64_t(i.immediate[0]);
    map_lanes(w.out<uint64_t>(i, 0), active, [=](unsigned l) { return a[l] + window; });
}
void from_generic(Warp& w, const Instruction& i, uint32_t active) {
    const uint64_t* a = w.in<uint64_t>(i, 1);
    const uint64_t window = uint64_t(i.immediate[0]);
    map_lanes(w.out<uint64_t>(i, 0), active, [=](unsigned l) { return a[l] - window; });
}

template <class F>
void in_space(Warp& w, const Instruction& i, uint32_t active, F&& is_inside) {
    const uint64_t* a = w.in<uint64_t>(i, 1);
    uint32_t result = 0;
    for_lanes(active, [&](unsigned l) { result |= uint32_t(is_inside(a[l])) << l; });
    w.set_predicate(i, 0, active, result);
}
void is_global(Warp& w, const Instruction& i, uint32_t active) {
    in_space(w, i, active, [](uint64_t a) {
        return !(a & DEVICE) || slot_of(a) >= FIRST_SLOT;
    });
}
void is_shared(Warp& w, const Instruction& i, uint32_t active) {
    in_space(w, i, active, [](uint64_t a) { return a & DEVICE && slot_of(a) == SHARED_SLOT; });
}
void is_local(Warp& w, const Instruction& i, uint32_t active) {
    in_space(w, i, active, [](uint64_t a) { return a & DEVICE && slot_of(a) == LOCAL_SLOT; });
}

void nothing(Warp&, const Instruction&, uint32_t) {}

template <class T>
void add_type(Table& t, const char* type) {
    t.add(std::string("ld.") + type, "", load<T>);
    if constexpr (!std::is_signed_v<T>) {  // st.s32 is st.u32
        t.add(std::string("st.") + type, "", store<T>);
    }
}

}  // namespace

char* resolve(Warp& w, const Instruction&, unsigned lane, Space space, uint64_t address,
              unsigned bytes, unsigned align, Access kind, const void* value) {
    if (address % align != 0) {
        throw Failure{MISALIGNED, lane,
                      std::string(word_for(kind)) + "|" + std::to_string(bytes) + "|" +
                          std::to_string(address)};
    }
    if (space == GENERIC && address & DEVICE && slot_of(address) < FIRST_SLOT) {
        space = slot_of(address) == SHARED_SLOT ? SHARED : LOCAL;
        address &= OFFSET_MASK;
    }
    switch (space) {
        case SHARED: return shared_memory(w, lane, address, bytes, kind, value);
        case LOCAL: return local_memory(w, lane, address, bytes, kind);
        case PARAMETER: return parameter_memory(*w.block->launch, lane, address, bytes, kind);
        default: return global_memory(*w.block->launch, lane, address, bytes, kind);
    }
}

void add_memory_instructions(Table& t) {
    add_type<uint8_t>(t, "u8");
    add_type<int8_t>(t, "s8");
    add_type<uint16_t>(t, "u16");
    add_type<int16_t>(t, "s16");
    add_type<uint32_t>(t, "u32");
    add_type<int32_t>(t, "s32");
    add_type<uint64_t>(t, "u64");
    add_type<int64_t>(t, "s64");
    add_type<unsigned __int128>(t, "b128");
    t.add("cvta.u64", "88", to_generic);
    t.add("cvta.to.u64", "88", from_generic);
    t.add("isspacep.global", "p8", is_global);
    t.add("isspacep.shared", "p8", is_shared);
    t.add("isspacep.local", "p8", is_local);
    t.add("prefetch", "", nothing);
    t.add("prefetchu", "", nothing);
    t.add("fence", "", nothing);
    t.add("membar", "", nothing);
}

}  // namespace ptx
