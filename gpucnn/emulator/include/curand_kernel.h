// The emulator refuses this header by name.
#pragma once

#error "the emulator does not support cuRAND; pass random numbers as an array, or compute them in the kernel"
