// assert as on the device, whatever <cassert> has made of it: the last header of a module.
#undef assert
#define assert(...)                                                        \
    ((__VA_ARGS__) ? static_cast<void>(0)                                  \
                   : ::emulator::fail(EMULATOR_CALL("assert"),             \
                                      "assertion failed: %s", #__VA_ARGS__))
