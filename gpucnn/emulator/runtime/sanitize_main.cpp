// The program that runs one launch under the sanitizers: sanitize_main REQUEST RESULT.
//
// The request holds lines of text, ended by an empty one, and then the bytes of the arguments, of
// each buffer and of each variable:
//
//     library PATH            kernel NAME             symbols PREFIX
//     grid X Y Z              block X Y Z             shared_bytes COUNT      seed NUMBER
//     time_limit SECONDS      tensor_core FRACTION_BITS PRODUCTS LEAST_EXPONENT
//     shared OFFSET BYTES NAME    a variable of static shared memory
//     buffer BYTES            in order; each gets memory of exactly that size
//     arguments BYTES
//     pointer PLACE BUFFER OFFSET BYTES ELEMENT_BYTES NAME    an array, which lies in a buffer, and
//                             where its address belongs among the arguments
//     variable OFFSET BYTES   a variable of the module, so far from what describes the module
//
// The result is the bytes of all buffers and variables after the launch. Exit status 1: the emulator
// refused something, and says on stderr what, in a line "at FILE:LINE INSTRUCTION ..." where, and in
// a line "kind NUMBER" of which FailureKind it is; any other is a sanitizer's.
#include <dlfcn.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "../include/entry.h"
#include "guarded_arrays.h"
#include "launch.h"
#include "surroundings.h"

namespace {

// Memory of an array, between gaps. Beside the array itself lie bytes that the sanitizer refuses:
// unlike for the gaps, it then reports how many bytes were read or written.
struct Buffer {
    Buffer(size_t number, size_t size) : bytes(size) {
        emulator::ReservedMemory& reserved = emulator::array_memory(number);
        if (!reserved.grow(size + 2 * REFUSED_BYTES + ALIGNMENT)) {
            fprintf(stderr, "no memory for an array of %zu bytes\n", size);
            exit(2);
        }
        const auto last = reinterpret_cast<uintptr_t>(reserved.end()) - REFUSED_BYTES - size;
        memory = reinterpret_cast<char*>(last / ALIGNMENT * ALIGNMENT);
        __asan_poison_memory_region(reserved.begin(), memory - reserved.begin());
        __asan_poison_memory_region(memory + size, reserved.end() - memory - size);
    }

    static constexpr size_t ALIGNMENT = 64, REFUSED_BYTES = 2048;
    size_t bytes;
    char* memory;
};

struct Job {
    std::string library, kernel, symbols;
    uint32_t grid[3], block[3];
    uint64_t shared_bytes = 0, seed = 0;
    double time_limit = 0;
    emulator::TensorCore tensor_core = {};
    struct Variable {
        int64_t offset;
        uint64_t bytes;
        std::string name;
    };
    std::vector<Variable> shared;
    std::vector<Buffer> buffers;
    struct Array {
        size_t place, buffer, offset, bytes, element_bytes;
        std::string name;
    };
    std::vector<Array> arrays;
    std::vector<Variable> variables;  // without names
    // Of an alignment that every argument's type is content with.
    struct alignas(16) Slot {
        char bytes[16];
    };
    std::vector<Slot> arguments;
    std::vector<std::vector<char>> values;  // of the variables

    char* argument(size_t place) { return reinterpret_cast<char*>(arguments.data()) + place; }
};

Job read_job(const char* path) {
    std::ifstream file(path, std::ios::binary);
    Job job;
    size_t argument_bytes = 0;
    std::string line, word;
    while (std::getline(file, line) && !line.empty()) {
        std::istringstream fields(line);
        fields >> word;
        if (word == "library") {
            std::getline(fields >> std::ws, job.library);
        } else if (word == "kernel") {
            std::getline(fields >> std::ws, job.kernel);
        } else if (word == "symbols") {
            fields >> job.symbols;
        } else if (word == "grid") {
            fields >> job.grid[0] >> job.grid[1] >> job.grid[2];
        } else if (word == "block") {
            fields >> job.block[0] >> job.block[1] >> job.block[2];
        } else if (word == "shared_bytes") {
            fields >> job.shared_bytes;
        } else if (word == "seed") {
            fields >> job.seed;
        } else if (word == "time_limit") {
            fields >> job.time_limit;
        } else if (word == "tensor_core") {
            emulator::TensorCore& core = job.tensor_core;
            fields >> core.fraction_bits >> core.products >> core.least_exponent;
        } else if (word == "shared") {
            Job::Variable variable = {};
            fields >> variable.offset >> variable.bytes;
            std::getline(fields >> std::ws, variable.name);
            job.shared.push_back(variable);
        } else if (word == "buffer") {
            size_t bytes = 0;
            fields >> bytes;
            job.buffers.push_back({job.buffers.size(), bytes});
        } else if (word == "arguments") {
            fields >> argument_bytes;
            job.arguments.resize(argument_bytes / sizeof(Job::Slot) + 1);
        } else if (word == "pointer") {
            Job::Array array;
            fields >> array.place >> array.buffer >> array.offset >> array.bytes >>
                array.element_bytes;
            std::getline(fields >> std::ws, array.name);
            job.arrays.push_back(array);
        } else if (word == "variable") {
            Job::Variable variable = {};
            fields >> variable.offset >> variable.bytes;
            job.variables.push_back(variable);
            job.values.emplace_back(variable.bytes);
        }
    }
    file.read(job.argument(0), static_cast<std::streamsize>(argument_bytes));
    for (Buffer& buffer : job.buffers) {
        file.read(buffer.memory, static_cast<std::streamsize>(buffer.bytes));
    }
    for (std::vector<char>& value : job.values) {
        file.read(value.data(), static_cast<std::streamsize>(value.size()));
    }
    return job;
}

const char* kernel_name = "";

void say_where() {
    const emulator::Place& place = emulator::place;
    fprintf(stderr, "emulator: kernel %s, block (%u, %u, %u), thread (%u, %u, %u)\n", kernel_name,
            place.block.x, place.block.y, place.block.z, place.thread.x, place.thread.y,
            place.thread.z);
}

// What a report of the address sanitizer calls by many names.
void say_access() {
    const void* address = emulator::faulting_address();
    if (address == nullptr && __asan_report_present() != 0) {
        address = __asan_get_report_address();
    }
    if (address != nullptr) {
        const char* const kind = __asan_get_report_access_type() != 0 ? "write" : "read";
        const emulator::StrayAccess access(kind, __asan_get_report_access_size(), address);
        fprintf(stderr, "emulator: %s\n", access.text);
    }
}

void say_what_and_where() {
    say_where();
    say_access();
}

void say_place(const emulator::SourcePlace& place) {
    if (place.file != nullptr) {
        fprintf(stderr, "%s:%d", place.file, place.line);
    } else {
        fputc('-', stderr);
    }
    for (uint32_t i = 0; i < place.count; ++i) {
        fprintf(stderr, " %zu", static_cast<size_t>(place.frames[i]));
    }
    fputc('\n', stderr);
}

void* symbol(void* library, const std::string& name) {
    void* found = dlsym(library, name.c_str());
    if (found == nullptr) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    return found;
}

}  // namespace

// Called by the undefined-behaviour sanitizer, which knows no death callback.
extern "C" void __ubsan_on_report() {
    say_where();
}

int main(int, char** arguments) {
    Job job = read_job(arguments[1]);
    void* library = dlopen(job.library.c_str(), RTLD_NOW);
    if (library == nullptr) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    auto* module = static_cast<emulator::Module*>(symbol(library, job.symbols + "_module"));
    const emulator::KernelEntry* entry = module->kernels;
    while (entry->name != nullptr && entry->name != job.kernel) {
        ++entry;
    }
    const emulator::SharedMemory* shared = &module->shared;
    std::vector<Region> arrays;
    for (const Job::Array& array : job.arrays) {
        char* const begin = job.buffers[array.buffer].memory + array.offset;
        arrays.push_back({begin, array.bytes, array.element_bytes, array.name.c_str()});
        memcpy(job.argument(array.place), &begin, sizeof begin);
    }
    const auto variable = [&](size_t i) {
        return reinterpret_cast<char*>(module) + job.variables[i].offset;
    };
    for (size_t i = 0; i < job.variables.size(); ++i) {
        memcpy(variable(i), job.values[i].data(), job.values[i].size());
    }
    auto* dynamic = static_cast<char*>(shared->dynamic());
    if (dynamic != nullptr) {
        __asan_poison_memory_region(
            dynamic + job.shared_bytes, emulator::DYNAMIC_SHARED_BYTES - job.shared_bytes);
    }
    std::vector<SharedVariable> shared_variables;
    for (const Job::Variable& variable : job.shared) {
        shared_variables.push_back({variable.offset, variable.bytes, variable.name.c_str()});
    }
    kernel_name = job.kernel.c_str();
    __sanitizer_set_death_callback(say_what_and_where);
    const LaunchRequest request = {
        kernel_name, entry->call, shared, shared_variables.data(), shared_variables.size(),
        job.argument(0),
        arrays.data(), arrays.size(),
        {job.grid[0], job.grid[1], job.grid[2]}, {job.block[0], job.block[1], job.block[2]},
        job.shared_bytes, job.seed, 1, 0, {job.time_limit, 0},
        0, 0, 0, 0, job.tensor_core};
    emulator::LaunchFailure failure = {};
    if (emulator_launch(&request, &failure) != 0) {
        fprintf(stderr, "%s\nat ", failure.message);
        say_place(failure.at);
        fprintf(stderr, "kind %u\n", static_cast<unsigned>(failure.kind));
        return 1;
    }
    std::ofstream result(arguments[2], std::ios::binary);
    for (const Buffer& buffer : job.buffers) {
        result.write(buffer.memory, static_cast<std::streamsize>(buffer.bytes));
    }
    for (size_t i = 0; i < job.variables.size(); ++i) {
        result.write(variable(i), static_cast<std::streamsize>(job.values[i].size()));
    }
    return result.good() ? 0 : 2;
}
