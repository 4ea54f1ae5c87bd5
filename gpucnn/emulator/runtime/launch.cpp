#include "launch.h"

#include "guarded_arrays.h"
#include "shared_arena.h"
#include "surroundings.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace emulator {

namespace {

// Of the launch that is running.
TensorCore current_tensor_core;

// Threads of a launch that several threads of the host work on.
constexpr uint64_t LARGE = 1024;

// Visits 0 … count − 1 in an order that a seed decides: a walk with a stride that has no factor in
// common with the count.
class Order {
public:
    Order(uint64_t count, uint64_t seed) : count_(count) {
        Shuffle shuffle(seed);
        start_ = shuffle.next() % count;
        do {
            step_ = shuffle.next() % count + 1;
        } while (common_factor(step_, count) != 1);
    }
    uint64_t at(uint64_t i) const {
        return static_cast<uint64_t>((static_cast<unsigned __int128>(i) * step_ + start_) % count_);
    }

private:
    static uint64_t common_factor(uint64_t a, uint64_t b) {
        while (b != 0) {
            const uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        return a;
    }

    uint64_t count_, start_, step_;
};

// One launch, shared by the threads of the host that work on it.
class Work {
public:
    Work(const LaunchRequest& request, LaunchFailure* failure)
        : request_(request),
          failure_(failure),
          blocks_(static_cast<uint64_t>(request.grid[0]) * request.grid[1] * request.grid[2]),
          order_(blocks_, request.seed),
          chunk_(blocks_ / (16 * request.workers) + 1) {}

    // Takes blocks until there are none left.
    void run() {
        begin_watched_work();
        try {
            use_signal_stack();
            run_blocks();
        } catch (const std::bad_alloc&) {
            fail(FailureKind::LAUNCH, NO_MEMORY);
        }
        end_watched_work();
    }

    // Whether it is worth waking others up.
    bool is_large() const {
        const uint32_t* block = request_.block;
        return blocks_ > 1 && blocks_ * block[0] * block[1] * block[2] >= LARGE;
    }
    bool open() const { return next_.load() < blocks_ && !failed_.load(); }
    bool failed() const { return failed_.load(); }

    // After the launch.
    void fail_stray_write(const char* array) {
        char message[512];
        snprintf(message, sizeof message, "out-of-bounds write beside %s%s", array, SEARCH_ADVICE);
        fail(FailureKind::OUT_OF_BOUNDS, message);
    }

private:
    void run_blocks() {
        const std::vector<Region>& shared = shared_regions(request_);
        const DynamicGuard guard(request_);
        const SharedMargins margins(request_, shared);
        BlockRunner& runner = this_runner();
        const Kernel kernel = {request_.kernel, request_.entry, request_.arguments};
        const dim3 grid(request_.grid[0], request_.grid[1], request_.grid[2]);
        const dim3 size(request_.block[0], request_.block[1], request_.block[2]);
        for (;;) {
            const uint64_t first = next_.fetch_add(chunk_);
            if (first >= blocks_) {
                return;
            }
            const uint64_t end = first + chunk_ < blocks_ ? first + chunk_ : blocks_;
            for (uint64_t i = first; i < end && !failed_.load(); ++i) {
                if (stop_requested() != Stop::NONE) {
                    return fail(FailureKind::TIME_LIMIT, reason_to_stop());
                }
                const uint64_t number = order_.at(i);
                const uint3 index = {
                    static_cast<unsigned>(number % grid.x),
                    static_cast<unsigned>(number / grid.x % grid.y),
                    static_cast<unsigned>(number / (static_cast<uint64_t>(grid.x) * grid.y))};
                for (const Region& region : shared) {
                    memset(region.begin, POISON, region.bytes);
                }
                begin_block_checks(shared, index, size.x * size.y * size.z);
                if (!runner.run(kernel, grid, size, index, request_.seed + 1 + number)) {
                    fail(runner.failure);
                } else if (const char* variable = margins.damaged()) {
                    return fail_stray_write(index, variable);
                }
            }
        }
    }

    void fail(const LaunchFailure& failure) {
        if (!failed_.exchange(true)) {
            *failure_ = failure;
        }
    }
    // After a block.
    void fail_stray_write(uint3 block, const char* variable) {
        LaunchFailure failure = {};
        failure.kind = FailureKind::OUT_OF_BOUNDS;
        snprintf(failure.message, sizeof failure.message,
                 "kernel %s, block (%u, %u, %u): out-of-bounds write beside %s%s", request_.kernel,
                 block.x, block.y, block.z, variable, SEARCH_ADVICE);
        fail(failure);
    }
    // Outside of any block.
    void fail(FailureKind kind, const char* message) {
        if (!failed_.exchange(true)) {
            failure_->kind = kind;
            snprintf(failure_->message, sizeof failure_->message, "kernel %s: %s",
                     request_.kernel, message);
        }
    }

    const LaunchRequest& request_;
    LaunchFailure* failure_;
    const uint64_t blocks_;
    const Order order_;
    const uint64_t chunk_;
    std::atomic<uint64_t> next_{0};
    std::atomic<bool> failed_{false};
};

// Threads of the host that help with a launch while it has blocks left. Whoever launches begins at
// once and does not wait for a helper that comes too late.
class Helpers {
public:
    void run(Work& work, unsigned helpers) {
        {
            const std::lock_guard lock(mutex_);
            while (threads_ < helpers && start_helper()) {
            }
            work_ = &work;
            wanted_ = helpers;
        }
        wake_.notify_all();
        work.run();
        std::unique_lock lock(mutex_);
        work_ = nullptr;
        done_.wait(lock, [this] { return busy_ == 0; });
    }

private:
    // False where the system allows no more threads: those that there are do the work.
    bool start_helper() {
        try {
            std::thread(&Helpers::help, this, threads_).detach();
        } catch (const std::system_error&) {
            return false;
        }
        ++threads_;
        return true;
    }

    [[noreturn]] void help(unsigned number) {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return work_ != nullptr && number < wanted_ && work_->open(); });
            Work& work = *work_;
            ++busy_;
            lock.unlock();
            work.run();
            lock.lock();
            if (--busy_ == 0) {
                done_.notify_all();
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    Work* work_ = nullptr;
    unsigned threads_ = 0;
    unsigned wanted_ = 0;
    unsigned busy_ = 0;
};

}  // namespace

const TensorCore& tensor_core() {
    return current_tensor_core;
}

}  // namespace emulator

namespace {

int launch(const LaunchRequest& given, emulator::LaunchFailure* failure) {
    using namespace emulator;
    // Never destroyed: its threads sleep until the process ends.
    static auto* const helpers = new Helpers;
    const GuardedArrays arrays(given);
    const LaunchRequest& request = arrays.request();
    begin_launch_checks(request);
    if (!request.checked) {
        suspect(request.kernel);
    }
    surround(&request);
    current_tensor_core = request.tensor_core;
    Work work(request, failure);
    const unsigned workers = std::min(request.workers, most_workers());
    if (workers > 1 && work.is_large()) {
        helpers->run(work, workers - 1);
    } else {
        work.run();
    }
    if (const char* array = arrays.damaged()) {
        work.fail_stray_write(array);
    }
    surround(nullptr);
    return !work.failed() ? 0 : stop_requested() == Stop::INTERRUPT ? 2 : 1;
}

}  // namespace

int emulator_launch(const LaunchRequest* request, emulator::LaunchFailure* failure) {
    using namespace emulator;
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    catch_faults();
    begin_watch(request->stop);
    int status = 1;
    try {
        status = launch(*request, failure);
    } catch (const std::bad_alloc&) {
        failure->kind = FailureKind::LAUNCH;
        snprintf(failure->message, sizeof failure->message, "kernel %s: %s", request->kernel,
                 NO_MEMORY);
    }
    end_watch();
    return status;
}
