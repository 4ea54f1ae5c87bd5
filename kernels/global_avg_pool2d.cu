// Average pooling over whole images, and its input gradient.
//
//     y[n,c]      = Σ x[n,m,c] · factor over the pixels m;  factor = 1 / pixels
//     dx[n,m,c]   = dy[n,c] · factor
//
// x and dx are (N, pixels, C), y and dy (N, C). A block takes a chunk of one image's pixels; chunks
// lie along z, images along y. Where an image has more than one chunk, the sum has two stages of
// the same kernel: chunks to (N, chunks, C) with factor 1, which are the pixels of the second.
//
// Constants: WIDTH, the channels of a thread (channel_rows.cuh).

#include "channel_rows.cuh"
#include "image_grid.cuh"

using Channels = Vector<float, WIDTH>;

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) global_avg_pool2d_forward(
    const float* x, float* y, float factor, long long pixels, long long chunk, int C,
    int N) {
    __shared__ Channels scratch[CHANNEL_ROWS_THREADS];
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.z, chunk, pixels);
    for (int n = first_image(); n < N; n += image_stride()) {
        const SumOfVectors add;
        Channels sum = {};
        block.for_each(
            span, [&](long long, const Channels& values) { sum = add(sum, values); },
            x + n * pixels * C);
        sum = block.join(sum, add, scratch);
        if (threadIdx.y == 0 && span.channel < C) {
            const long long place = static_cast<long long>(n) * gridDim.z + blockIdx.z;
            store_vector(y + place * C + span.channel, scaled(sum, factor));
        }
        __syncthreads();  // the next image uses scratch again
    }
}

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) global_avg_pool2d_input_grad(
    const float* dy, float* dx, float factor, long long pixels, long long chunk, int C,
    int N) {
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.z, chunk, pixels);
    if (span.channel >= C) {
        return;
    }
    for (int n = first_image(); n < N; n += image_stride()) {
        const float* gradient = dy + static_cast<long long>(n) * C + span.channel;
        const Channels value = scaled(load_vector<WIDTH>(gradient), factor);
        block.for_each(span, [&](long long offset) {
            store_vector(dx + n * pixels * C + offset, value);
        });
    }
}
