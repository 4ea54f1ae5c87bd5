// The emulator refuses this header by name.
#pragma once

#error "the emulator does not support nvcuda::wmma; test the kernel with a plain matrix product in its place"
