// From an address to memory of the host: which array, shared or local memory it lies in, whether
// the access is inside and aligned.
#pragma once

#include "block.h"

namespace ptx {

// The memory of one lane's access. `align` is what the address must be a multiple of.
char* resolve(Warp& warp, const Instruction& i, unsigned lane, Space space, uint64_t address,
              unsigned bytes, unsigned align, Access kind, const void* value = nullptr);

// The address of an instruction's memory operand: a register or none, and a displacement.
inline uint64_t address_of(const Warp& w, const Instruction& i, unsigned operand, unsigned lane,
                           unsigned which = 0) {
    uint64_t address = uint64_t(i.immediate[which]);
    if (i.operand[operand] != NONE) {
        const bool is_long = i.flags & (which ? SECOND_64 : ADDRESS_64);
        address += is_long ? w.in<uint64_t>(i, operand)[lane] : w.in<uint32_t>(i, operand)[lane];
    }
    return address;
}

}  // namespace ptx
