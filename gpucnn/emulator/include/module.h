// What a module of kernels exports: its kernels, and where its shared memory is.
#pragma once

#include "entry.h"
#include "interface.h"
#include "qualifiers.h"

// The dynamic shared memory that the largest GPU gives a block: 227 KiB. A macro, for assembly.
#define EMULATOR_DYNAMIC_BYTES 232448

namespace emulator {

struct SharedMemory {
    // The address of a variable of its static shared memory; the others are known by their distances.
    void* (*anchor)();
    // The array of its dynamic shared memory, or null.
    void* (*dynamic)();
};

struct Module {
    const KernelEntry* kernels;
    // The names of kernels that are templates, with a comma between them.
    const char* templates;
    SharedMemory shared;
};

constexpr size_t DYNAMIC_SHARED_BYTES = EMULATOR_DYNAMIC_BYTES;

}  // namespace emulator

#define EMULATOR_TEXT(macro) EMULATOR_QUOTED(macro)
#define EMULATOR_QUOTED(text) #text
#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default"), used))

// A kernel declares its dynamic shared memory as an array that is defined elsewhere, of whatever
// name and type. It is defined here, in assembly, under all names that the compiler gives it.
#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_DYNAMIC_SECTION ".section .bss,\"aw\",%nobits\n"
#define EMULATOR_DYNAMIC_TYPE "%object\n"
#else
#define EMULATOR_DYNAMIC_SECTION ".section .tbss,\"awT\",%nobits\n"
#define EMULATOR_DYNAMIC_TYPE "%tls_object\n"
#endif
#define EMULATOR_DYNAMIC_NAME(symbol)                                                       \
    ".hidden " symbol "\n.globl " symbol "\n.type " symbol ", " EMULATOR_DYNAMIC_TYPE       \
    ".size " symbol ", " EMULATOR_TEXT(EMULATOR_DYNAMIC_BYTES) "\n" symbol ":\n"
#define EMULATOR_DYNAMIC_MEMORY(names)                                \
    asm(EMULATOR_DYNAMIC_SECTION ".balign 4096\n" names ".zero "       \
        EMULATOR_TEXT(EMULATOR_DYNAMIC_BYTES) "\n.previous\n");

#define EMULATOR_EXPORT_MODULE(prefix, array)                                      \
    static void* prefix##_anchor() {                                               \
        __shared__ char anchor;                                                    \
        return &anchor;                                                            \
    }                                                                              \
    static void* prefix##_dynamic() { return array; }                              \
    EMULATOR_EXPORT const ::emulator::Module prefix##_module = {                   \
        prefix::prefix##_kernels, prefix::prefix##_templates,                      \
        {prefix##_anchor, prefix##_dynamic}};
