// What the host calls: programs, and launches of them over threads of the host.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "block.h"
#include "schedule.h"

namespace ptx {
namespace {

// In the order in which they lie at the beginning of a warp's register file, 32 words each.
constexpr const char* SPECIAL_REGISTERS[] = {
    "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y",
    "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%nwarpid", "%smid",
    "%nsmid", "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt",
    "%dynamic_smem_size", "%total_smem_size",
};

const Table& table() {
    static const Table all = [] {
        Table t;
        add_integer_instructions(t);
        add_bit_instructions(t);
        add_float_instructions(t);
        add_short_float_instructions(t);
        add_approximate_instructions(t);
        add_comparisons(t);
        add_conversions(t);
        add_memory_instructions(t);
        add_atomic_instructions(t);
        add_copy_instructions(t);
        add_warp_instructions(t);
        add_tensor_instructions(t);
        add_control_instructions(t);
        add_functions(t);
        return t;
    }();
    return all;
}

// How a launch has failed, for executor.py.
struct Report {
    int32_t kind;
    uint32_t pc;
    int64_t other_pc, thread, other_thread;
    uint32_t block[3];
    char text[256];
};

constexpr unsigned LONGEST_TURN = 256;  // instructions that a warp executes before another may
constexpr auto TURN = std::chrono::milliseconds(50);  // of the host's waiting

// A launch that is under way.
class Run {
public:
    Run(const Launch& launch, uint64_t* counts, Report& report)
        : launch_(launch), report_(report), counts_(counts),
          blocks_(uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2]), start_(Clock::now()) {
        Random random{launch.seed};
        random.next();
        first_ = random.next() % blocks_;
    }

    ~Run();

    // Waits for a short time; returns whether the launch has ended. Begins it if it has not.
    bool wait();

private:
    using Clock = std::chrono::steady_clock;

    void begin();
    void work();
    void run_blocks(std::vector<uint64_t>& counts);
    void run_block(Block& block, uint64_t number);
    void prepare(Block& block, uint64_t number);
    void set_special_registers(Block& block, Warp& warp);
    void check_time(const Block& block);
    void fail(const Block& block, unsigned warp, const Failure& failure);
    void fail_for_want_of(const char* what);

    const Launch launch_;
    Report& report_;
    uint64_t* counts_;
    const uint64_t blocks_;
    std::vector<std::thread> workers_;
    uint64_t first_ = 0;
    const Clock::time_point start_;
    std::atomic<uint64_t> next_{0};
    std::atomic<bool> stops_{false};
    std::atomic<unsigned> finished_{0};
    std::mutex mutex_;
    std::condition_variable one_has_finished_;
};

void Run::set_special_registers(Block& block, Warp& warp) {
    const uint32_t* size = launch_.block;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        const unsigned thread = warp.thread(lane);
        const uint32_t bit = 1u << lane;
        const uint32_t values[] = {
            thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1],
            size[0], size[1], size[2],
            block.index[0], block.index[1], block.index[2],
            launch_.grid[0], launch_.grid[1], launch_.grid[2],
            lane, warp.index, uint32_t(block.warps.size()), 0, 1,
            bit, bit | (bit - 1), bit - 1, ~(bit - 1), ~(bit | (bit - 1)),
            launch_.dynamic_shared_bytes, launch_.shared_bytes,
        };
        static_assert(std::size(values) == std::size(SPECIAL_REGISTERS));
        for (unsigned k = 0; k < std::size(values); ++k) {
            reinterpret_cast<uint32_t*>(warp.registers)[k * LANES + lane] = values[k];
        }
    }
}

void Run::prepare(Block& block, uint64_t number) {
    block.index[0] = uint32_t(number % launch_.grid[0]);
    block.index[1] = uint32_t(number / launch_.grid[0] % launch_.grid[1]);
    block.index[2] = uint32_t(number / launch_.grid[0] / launch_.grid[1]);
    block.random = {launch_.seed ^ (number + 1) * 0x9e3779b97f4a7c15u};
    block.random.next();
    const unsigned warps = (block.thread_count + LANES - 1) / LANES;
    block.warps.resize(warps);
    block.registers.assign(size_t(warps) * launch_.register_bytes + 64, char(0xff));
    block.local.assign(size_t(warps) * LANES * launch_.local_bytes, char(0xff));
    block.copies.assign(size_t(warps) * LANES, {});
    block.shared.reset(launch_, warps);
    block.barriers = {};
    auto* registers = block.registers.data();
    registers += -reinterpret_cast<uintptr_t>(registers) % 64;
    for (unsigned index = 0; index < warps; ++index) {
        const unsigned lanes = std::min(LANES, block.thread_count - index * LANES);
        Warp& warp = block.warps[index];
        warp = {};
        warp.block = &block;
        warp.index = index;
        warp.registers = registers + size_t(index) * launch_.register_bytes;
        warp.constants = launch_.program->constants.data();
        warp.live = lanes == LANES ? ALL_LANES : (1u << lanes) - 1;
        warp.random = {block.random.next() * 0x9e3779b97f4a7c15u + index};
        warp.groups = {{launch_.entry, warp.live, false}};
        std::array<uint32_t, LANES> nowhere;
        nowhere.fill(UINT32_MAX);
        warp.return_addresses.assign(launch_.function_count, nowhere);
        set_special_registers(block, warp);
    }
}

void Run::check_time(const Block& block) {
    const std::chrono::duration<double> passed = Clock::now() - start_;
    if (launch_.time_limit > 0 && passed.count() > launch_.time_limit) {
        for (const Warp& warp : block.warps) {
            if (warp.live) {
                throw Failure{TIME_LIMIT, unsigned(std::countr_zero(warp.live)), ""};
            }
        }
    }
}

void Run::run_block(Block& block, uint64_t number) {
    prepare(block, number);
    check_time(block);
    Schedule schedule(block);
    for (unsigned turn = 1; !stops_; ++turn) {
        if (!schedule.advance(1 + block.random.below(LONGEST_TURN))) {
            return;
        }
        if (turn % 256 == 0) {
            check_time(block);
        }
    }
}

void Run::fail(const Block& block, unsigned index, const Failure& failure) {
    const std::lock_guard lock(mutex_);
    if (report_.kind != NO_FAILURE) {
        return;
    }
    const Warp& warp = block.warps[index];
    report_.kind = failure.kind;
    report_.pc = warp.pc;
    report_.other_pc = failure.other_instruction;
    report_.thread = warp.thread(failure.lane);
    report_.other_thread = failure.other_thread;
    std::copy(block.index, block.index + 3, report_.block);
    std::snprintf(report_.text, sizeof report_.text, "%s", failure.text.c_str());
    stops_ = true;
}

// The host lacks what the executor needs.
void Run::fail_for_want_of(const char* what) {
    const std::lock_guard lock(mutex_);
    if (report_.kind == NO_FAILURE) {
        report_.kind = HOST;
        std::snprintf(report_.text, sizeof report_.text, "%s", what);
    }
    stops_ = true;
}

void Run::run_blocks(std::vector<uint64_t>& counts) {
    Block block{};
    block.launch = &launch_;
    block.program = launch_.program;
    block.counts = counts.data();
    block.thread_count = launch_.block[0] * launch_.block[1] * launch_.block[2];
    while (!stops_) {
        const uint64_t number = next_++;
        if (number >= blocks_) {
            break;
        }
        try {
            run_block(block, (number + first_) % blocks_);
        } catch (const Failure& failure) {
            fail(block, block.running_warp, failure);
        }
    }
}

void Run::work() {
    std::vector<uint64_t> counts;
    try {
        counts.resize(launch_.program->code.size());
        run_blocks(counts);
    } catch (const std::bad_alloc&) {
        fail_for_want_of("memory");
    }
    const std::lock_guard lock(mutex_);
    for (size_t k = 0; k < counts.size(); ++k) {
        counts_[k] += counts[k];
    }
    ++finished_;
    one_has_finished_.notify_one();
}

void Run::begin() {
    try {
        for (uint64_t k = 0; k < std::min<uint64_t>(launch_.workers, blocks_); ++k) {
            workers_.emplace_back(&Run::work, this);
        }
    } catch (const std::system_error&) {
        fail_for_want_of("threads");
    }
}

bool Run::wait() {
    if (workers_.empty()) {
        begin();
    }
    std::unique_lock lock(mutex_);
    return one_has_finished_.wait_for(lock, TURN, [&] { return finished_ == workers_.size(); });
}

// Ends what is still running.
Run::~Run() {
    stops_ = true;
    for (std::thread& each : workers_) {
        each.join();
    }
}

}  // namespace
}  // namespace ptx

#define EXPORTED extern "C" __attribute__((visibility("default")))

// All instructions: a line each with opcode, operands and control, separated by spaces.
EXPORTED const char* ptx_instructions() {
    static const std::string text = [] {
        std::string lines;
        for (const ptx::Entry& entry : ptx::table().entries()) {
            const std::string operands = entry.operands.empty() ? "-" : entry.operands;
            lines += std::string(entry.opcode) + " " + operands + " " +
                     std::to_string(entry.control) + "\n";
        }
        return lines;
    }();
    return text.c_str();
}

EXPORTED const char* ptx_special_registers() {
    static const std::string text = [] {
        std::string names;
        for (const char* name : ptx::SPECIAL_REGISTERS) {
            names += std::string(name) + "\n";
        }
        return names;
    }();
    return text.c_str();
}

EXPORTED ptx::Program* ptx_make_program(const ptx::Encoded* code, uint64_t count,
                                        const char* constants, uint64_t constant_bytes,
                                        const uint32_t* targets, uint64_t target_count) {
    auto* program = new ptx::Program;
    const auto& entries = ptx::table().entries();
    for (uint64_t k = 0; k < count; ++k) {
        const ptx::Entry& entry = entries[code[k].handler];
        program->code.push_back({code[k], entry.run, entry.control});
    }
    program->constants.assign(constants, constants + constant_bytes);
    program->branch_targets.assign(targets, targets + target_count);
    return program;
}

EXPORTED void ptx_free_program(ptx::Program* program) { delete program; }

// A launch that has not begun. What is given must stay until `ptx_end_run`. How often each instruction
// has run, for a warp each time, is added to `counts`.
EXPORTED ptx::Run* ptx_make_run(const ptx::Launch* launch, uint64_t* counts, ptx::Report* report) {
    return new ptx::Run(*launch, counts, *report);
}

// Lets a launch run for a short time; returns whether it has ended.
EXPORTED int ptx_wait(ptx::Run* run) { return run->wait(); }

// Ends a launch, which may still be running.
EXPORTED void ptx_end_run(ptx::Run* run) { delete run; }
