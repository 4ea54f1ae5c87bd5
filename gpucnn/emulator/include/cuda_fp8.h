// The emulator refuses this header by name.
#pragma once

#error "the emulator does not support 8-bit floating point numbers; use half or bfloat16"
