#include "stop.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "launch.h"

namespace emulator {

namespace {

// What a working thread is sent to leave a kernel. Its default is to do nothing.
constexpr int LEAVE = SIGURG;
constexpr long CHECK_NANOSECONDS = 100'000'000;  // How often the time is looked at.
constexpr long RETRY_NANOSECONDS = 2'000'000;

std::atomic<Stop> stop{Stop::NONE};
std::atomic<uint32_t> interrupts_left{0};
// Whether the running launch can be stopped at all.
bool watched = false;
sem_t wake;
struct sigaction before;

double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// A thread that looks at the time, and sends signals to the threads that work on the launch until
// all have left it: only where a kernel's own instruction is interrupted can it be left for good.
class Watch {
public:
    void begin(const StopRequest& request) {
        const std::lock_guard lock(mutex_);
        // No thread yet in this process; a fork does not inherit its parent's.
        if (process_ != getpid()) {
            sem_init(&wake, 0, 0);
            std::thread(&Watch::run, this).detach();
            process_ = getpid();
        }
        active_ = true;
        limited_ = request.time_limit > 0;
        deadline_ = limited_ ? now() + request.time_limit : 0;
        if (limited_ && !polls_) {
            polls_ = true;
            sem_post(&wake);
        }
    }
    void end() {
        const std::lock_guard lock(mutex_);
        active_ = false;
    }
    void add() {
        const std::lock_guard lock(mutex_);
        working_.push_back(pthread_self());
    }
    void remove() {
        const std::lock_guard lock(mutex_);
        working_.erase(std::find(working_.begin(), working_.end(), pthread_self()));
    }

private:
    [[noreturn]] void run() {
        for (;;) {
            wait();
            const std::lock_guard lock(mutex_);
            if (!active_) {
                continue;
            }
            if (limited_ && now() >= deadline_) {
                Stop none = Stop::NONE;
                stop.compare_exchange_strong(none, Stop::TIME);
            }
            if (stop_requested() != Stop::NONE) {
                for (const pthread_t thread : working_) {
                    pthread_kill(thread, LEAVE);
                }
            }
        }
    }

    void wait() {
        const long pause = stop_requested() != Stop::NONE ? RETRY_NANOSECONDS : CHECK_NANOSECONDS;
        if (!polls_ && stop_requested() == Stop::NONE) {
            sem_wait(&wake);
            return;
        }
        timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += pause;
        until.tv_sec += until.tv_nsec / 1'000'000'000;
        until.tv_nsec %= 1'000'000'000;
        sem_timedwait(&wake, &until);
    }

    std::mutex mutex_;
    std::vector<pthread_t> working_;
    bool active_ = false;
    bool limited_ = false;
    double deadline_ = 0;
    pid_t process_ = 0;
    std::atomic<bool> polls_{false};
};

Watch& watch() {
    // Never destroyed: its thread sleeps until the process ends.
    static auto* const watch = new Watch;
    return *watch;
}

// The user's signal: whoever handled it before still does.
void on_interrupt(int signal, siginfo_t* information, void* context) {
    const int error = errno;
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(signal, information, context);
    } else {
        before.sa_handler(signal);
    }
    if (interrupts_left.load() > 0 && interrupts_left.fetch_sub(1) == 1) {
        stop = Stop::INTERRUPT;
        sem_post(&wake);
    }
    errno = error;
}

[[noreturn]] void leave(BlockRunner& runner) {
    runner.fail(FailureKind::TIME_LIMIT, reason_to_stop());
}

void give_interrupts_back() {
    if (interrupts_left.exchange(0) > 0 || stop_requested() == Stop::INTERRUPT) {
        sigaction(SIGINT, &before, nullptr);
    }
}

// Unless nobody handles the signal, which then does what it always does.
void take_interrupts(uint32_t count) {
    sigaction(SIGINT, nullptr, &before);
    const bool handled = (before.sa_flags & SA_SIGINFO) != 0 ||
                         (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
    if (count > 0 && handled) {
        interrupts_left = count;
        struct sigaction action = before;
        action.sa_sigaction = on_interrupt;
        action.sa_flags |= SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGINT, &action, nullptr);
    }
}

void on_leave(int, siginfo_t*, void* context) {
    BlockRunner* runner = known_runner();
    // Elsewhere, in the runtime or the C library, something would be left half done.
    if (stop_requested() != Stop::NONE && runner != nullptr && runner->running() &&
        in_module(runner->entry(), interrupted_instruction(context))) {
        leave(*runner);
    }
}

void catch_leave() {
    static const bool installed = [] {
        struct sigaction action = {};
        action.sa_sigaction = on_leave;
        // The handler leaves by a switch of stacks, so the signal must not stay blocked.
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
        sigaction(LEAVE, &action, nullptr);
        return true;
    }();
    (void)installed;
}

}  // namespace

void begin_watch(const StopRequest& request) {
    stop = Stop::NONE;
    watched = request.time_limit > 0 || request.interrupts > 0;
    if (!watched) {
        return;
    }
    catch_leave();
    try {
        watch().begin(request);
    } catch (const std::system_error&) {  // The system allows no more threads.
        watched = false;
        return;
    }
    take_interrupts(request.interrupts);
}

void end_watch() {
    if (watched) {
        give_interrupts_back();
        watch().end();
    }
}

void begin_watched_work() {
    if (watched) {
        watch().add();
    }
}

void end_watched_work() {
    if (watched) {
        watch().remove();
    }
}

Stop stop_requested() {
    return stop.load(std::memory_order_relaxed);
}

const char* reason_to_stop() {
    return stop_requested() == Stop::TIME ? "the launch takes longer than its time limit"
                                          : "the launch has been interrupted";
}

void obey_stop() {
    if (stop_requested() != Stop::NONE) {
        leave(this_runner());
    }
}

}  // namespace emulator
