// The emulator refuses this header by name.
#pragma once

#error "the emulator does not support CUB; write the reduction, scan or sort in the kernel, with shuffles and shared memory"
