// The emulator refuses this header by name.
#pragma once

#error "the emulator does not support CUDA's pipelines; copy to shared memory with loads, stores and __syncthreads()"
