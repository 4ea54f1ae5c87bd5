// Ends a launch from outside: when its time is over, or when the user interrupts it.
#pragma once

#include <cstdint>

namespace emulator {

struct StopRequest {
    // Seconds that a launch may take; 0 for any.
    double time_limit;
    // Signals of the user's (SIGINT) that end the launch; 0: it takes no notice of them.
    uint32_t interrupts;
};

enum class Stop : int { NONE, TIME, INTERRUPT };

// Around a launch, of which there is one at a time. Where the system allows no thread to watch it,
// nothing ends it.
void begin_watch(const StopRequest& request);
void end_watch();

// Around the work of a thread of the host in that launch.
void begin_watched_work();
void end_watched_work();

// Whether the running launch is to end, and why; in words.
Stop stop_requested();
const char* reason_to_stop();

// Fails the running block if the launch is to end. Called wherever threads meet; elsewhere a
// signal finds the kernel.
void obey_stop();

}  // namespace emulator
