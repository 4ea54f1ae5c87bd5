// What a device can do at most, for measurements:
//
//     copy          y[i] = x[i]                         the bandwidth of its memory
//     multiply_add  v ← factor · v + addend, in turns   the rate of its FP32 arithmetic
//
// copy takes COPY_VECTORS vectors of VECTOR elements a thread, a block's side by side in each turn.
// multiply_add has CHAINS numbers a thread that do not wait for each other; a round is one step of
// each. One thread of it, with as many rounds as that takes, keeps a device busy for a given time.
//
// Constants: VECTOR, COPY_VECTORS, CHAINS.

static_assert(VECTOR * sizeof(float) == sizeof(float4), "a vector is read and written at once");

// x and y have COPY_VECTORS · VECTOR elements for each thread of the grid.
__global__ void copy(const float* x, float* y) {
    const long long block = static_cast<long long>(blockIdx.x) * blockDim.x * COPY_VECTORS;
    const long long first = (block + threadIdx.x) * VECTOR;
    const int turn = blockDim.x * VECTOR;
    // All reads before the first write, so that all are under way at once.
    float4 vectors[COPY_VECTORS];
    for (int i = 0; i < COPY_VECTORS; ++i) {
        vectors[i] = *reinterpret_cast<const float4*>(x + first + i * turn);
    }
    for (int i = 0; i < COPY_VECTORS; ++i) {
        *reinterpret_cast<float4*>(y + first + i * turn) = vectors[i];
    }
}

// sums has an element a thread; it is there so that the compiler keeps what leads to it.
__global__ void multiply_add(float* sums, float factor, float addend, int rounds) {
    const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    float value[CHAINS];
    for (int chain = 0; chain < CHAINS; ++chain) {
        value[chain] = static_cast<float>(threadIdx.x + chain);
    }
    for (int round = 0; round < rounds; ++round) {
        for (int chain = 0; chain < CHAINS; ++chain) {
            value[chain] = factor * value[chain] + addend;
        }
    }
    float sum = 0.0f;
    for (int chain = 0; chain < CHAINS; ++chain) {
        sum += value[chain];
    }
    sums[thread] = sum;
}
