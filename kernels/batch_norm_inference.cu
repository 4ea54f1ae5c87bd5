// Batch normalisation over the rows of a matrix by given statistics.
//
//     y[m,c] = scale · (x − mean) / √(variance + ε) + shift,  then + residual[m,c] and max(…, 0)
//
// x, y and the residual are (rows, C), vectors (C,). The residual may be null; y is at least
// `lowest`, which is 0 with a ReLU and −∞ without one.
//
// Constants: WIDTH: neighbouring channels of a thread (channel_rows.cuh); chunks lie along y.

#include "normalise.cuh"

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) batch_norm_inference(
    const float* x, const float* residual, const float* scale, const float* shift,
    const float* mean, const float* variance, float epsilon, float lowest, float* y, long long rows,
    long long chunk, int C) {
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.y, chunk, rows);
    Channels factor = of_thread(scale, span, C);
    const Channels spread = of_thread(variance, span, C);
    for (int i = 0; i < WIDTH; ++i) {
        factor.of[i] /= sqrtf(spread.of[i] + epsilon);
    }
    write_normalised(
        x, residual, of_thread(mean, span, C), factor, of_thread(shift, span, C), lowest, y,
        block, span);
}
