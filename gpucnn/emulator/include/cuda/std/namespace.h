// cuda::std is the standard library for kernels. The emulator compiles kernels for the host, where
// the host's own library has the same interface.
#pragma once

#include <version>

namespace cuda {
namespace std = ::std;
}
