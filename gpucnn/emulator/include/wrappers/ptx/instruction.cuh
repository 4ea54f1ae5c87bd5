// Instructions of PTX, as macros that carry the opcode: what a GPU has inline assembly for. This file
// takes the place of the kernels' own of this name; instructions.h has what each opcode does.
#pragma once

#define PTX_MMA(opcode, d, a, b) \
    ::emulator::mma<::emulator::Instruction<opcode>>(EMULATOR_CALL(opcode), d, a, b)
#define PTX_LDMATRIX_X1(opcode, d, row) \
    ::emulator::Instruction<opcode>::run(EMULATOR_CALL(opcode), d, row)
#define PTX_LDMATRIX_X2 PTX_LDMATRIX_X1
#define PTX_LDMATRIX_X4 PTX_LDMATRIX_X1
#define PTX_COPY(opcode, to, from, bytes, source_bytes)                             \
    ::emulator::Instruction<opcode>::template run<bytes>(EMULATOR_CALL(opcode), to, from, \
                                                         source_bytes)
#define PTX_STORE_X4(opcode, to, values) ::emulator::Instruction<opcode>::run(to, values)
#define PTX_BARE(opcode) ::emulator::Instruction<opcode>::run(EMULATOR_CALL(opcode))
#define PTX_CONSTANT(opcode, number) \
    ::emulator::Instruction<opcode>::run(EMULATOR_CALL(opcode), number)
#define PTX_CONVERT(opcode, d, x) (d) = ::emulator::Instruction<opcode>::run(x)
