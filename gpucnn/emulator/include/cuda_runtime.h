// Of CUDA's header of this name kernels need nothing that they do not have already.
#pragma once
