#include "async_copy.h"

#include <algorithm>
#include <cstring>

#include "launch.h"

namespace emulator {

void AsyncCopies::reset(unsigned threads) {
    queues_.clear();
    under_way_ = 0;
    threads_ = threads;
}

void AsyncCopies::start(unsigned thread, AsyncCopy copy) {
    queues_.resize(threads_);
    copy.group = queues_[thread].closed;
    queues_[thread].copies.push_back(copy);
    ++under_way_;
}

void AsyncCopies::commit(unsigned thread) {
    queues_.resize(threads_);
    ++queues_[thread].closed;
}

std::vector<AsyncCopy> AsyncCopies::wait(unsigned thread, unsigned pending) {
    queues_.resize(threads_);
    Queue& queue = queues_[thread];
    const uint32_t end = queue.closed - std::min(queue.closed, pending);
    const auto first_left = std::find_if(
        queue.copies.begin(), queue.copies.end(),
        [=](const AsyncCopy& copy) { return copy.group >= end; });
    std::vector<AsyncCopy> finished(queue.copies.begin(), first_left);
    queue.copies.erase(queue.copies.begin(), first_left);
    under_way_ -= finished.size();
    return finished;
}

const AsyncCopy* AsyncCopies::reader_of(uintptr_t address, size_t bytes) const {
    if (under_way_ == 0) {
        return nullptr;
    }
    for (const Queue& queue : queues_) {
        for (const AsyncCopy& copy : queue.copies) {
            const auto from = reinterpret_cast<uintptr_t>(copy.from);
            if (from < address + bytes && address < from + copy.source_bytes) {
                return &copy;
            }
        }
    }
    return nullptr;
}

namespace {

void carry_out(const AsyncCopy& copy) {
    if (copy.source_bytes > 0) {  // Else the address may be none.
        memcpy(copy.to, copy.from, copy.source_bytes);
    }
    memset(copy.to + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
}

}  // namespace

void async_copy(
    const Call& call, void* to, const void* from, size_t bytes, size_t source_bytes) {
    const void* const instruction = __builtin_return_address(0);
    if (source_bytes > bytes) {
        fail(call, FailureKind::OUT_OF_BOUNDS, "%s of %zu bytes from %zu", call.name, bytes,
             source_bytes);
    }
    if (reinterpret_cast<uintptr_t>(from) % bytes != 0) {
        fail_misaligned(call, bytes, from, Use::READ);
    }
    check_shared(call, to, bytes);
    check_aligned(call, instruction, to, bytes, Use::WRITE);
    if (source_bytes > 0) {
        check_bytes(call, instruction, from, source_bytes, Use::READ);
    }
    BlockRunner& runner = this_runner();
    const bool at_once = runner.shuffle().below(2) == 0;
    const AsyncCopy copy = {
        static_cast<char*>(to), static_cast<const char*>(from), bytes, source_bytes, at_once,
        instruction, 0};
    if (at_once) {
        carry_out(copy);
    } else {
        memset(to, POISON, bytes);
    }
    mark_pending(to, bytes, true);
    runner.copies.start(runner.current(), copy);
}

void async_commit() {
    BlockRunner& runner = this_runner();
    runner.copies.commit(runner.current());
}

void async_wait(const Call& call, unsigned pending) {
    const void* const instruction = __builtin_return_address(0);
    BlockRunner& runner = this_runner();
    for (const AsyncCopy& copy : runner.copies.wait(runner.current(), pending)) {
        if (!copy.is_done) {
            carry_out(copy);
        }
        // To others it is read and written now, by this thread.
        mark_pending(copy.to, copy.bytes, false);
        check_bytes(call, instruction, copy.to, copy.bytes, Use::WRITE);
        if (copy.source_bytes > 0) {
            check_bytes(call, instruction, copy.from, copy.source_bytes, Use::READ);
        }
    }
}

}  // namespace emulator
