// Batch normalisation over the rows of a matrix by their own statistics, in training.
//
//     mean[c]     = Σ x[m,c] / rows          inverse_std[c] = 1 / √(Σ (x[m,c] − mean)² / rows + ε)
//     y[m,c]      = scale · (x − mean) · inverse_std + shift
//                   then + residual[m,c] and max(…, 0)
//
// x, y and the residual are (rows, C), vectors (C,). The residual may be null; y is at least
// `lowest`, which is 0 with a ReLU and −∞ without one.
//
// Sums over rows have two stages: blocks over chunks of rows write (C, chunks), which a block a
// channel then joins. Of a chunk that is its mean and the squares about it, which lose no digits
// where the mean is large (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for
// computing sample variances", 1979).
//
// Constants: WIDTH: neighbouring channels of a thread (channel_rows.cuh). Chunks lie along y; a block
// of a second stage is any number of whole warps.

#include "normalise.cuh"
#include "reduction.cuh"

// Number, mean and squares about the mean of some rows, a channel each.
struct Moments {
    float count;
    Channels mean;
    Channels squares;
};

struct JoinMoments {
    __device__ __forceinline__ Moments operator()(const Moments& a, const Moments& b) const {
        Moments both;
        both.count = a.count + b.count;
        const float share = both.count > 0.0f ? b.count / both.count : 0.0f;
        for (int i = 0; i < WIDTH; ++i) {
            const float apart = b.mean.of[i] - a.mean.of[i];
            both.mean.of[i] = a.mean.of[i] + apart * share;
            both.squares.of[i] =
                a.squares.of[i] + b.squares.of[i] + apart * apart * (a.count * share);
        }
        return both;
    }
};

// Four blocks at once: without saying so, ptxas aims at more and spills registers on sm_80.
__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS, 4) batch_norm_statistics_of_chunks(
    const float* x, float* means, float* squares, long long rows, long long chunk, int C) {
    __shared__ Moments scratch[CHANNEL_ROWS_THREADS];
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.y, chunk, rows);
    Moments moments = {};
    block.for_each(
        span,
        [&](long long, const Channels& v) {
            moments.count += 1.0f;
            const float share = 1.0f / moments.count;
            for (int i = 0; i < WIDTH; ++i) {
                const float before = v.of[i] - moments.mean.of[i];
                moments.mean.of[i] += before * share;
                moments.squares.of[i] += before * (v.of[i] - moments.mean.of[i]);
            }
        },
        x);
    moments = block.join(moments, JoinMoments{}, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        block.store_partial(means, span, moments.mean);
        block.store_partial(squares, span, moments.squares);
    }
}

// Joins the chunks of channel blockIdx.x, and moves the running statistics:
// running = kept · running + momentum · new. The running variance has Bessel's correction.
__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) batch_norm_statistics_join(
    const float* means, const float* squares, float* running_mean, float* running_variance,
    float* mean, float* inverse_std, float kept, float momentum, float epsilon, long long rows,
    long long chunk, int chunks) {
    __shared__ float scratch[CHANNEL_ROWS_THREADS / WARP];
    const int c = blockIdx.x;
    means += static_cast<long long>(c) * chunks;
    squares += static_cast<long long>(c) * chunks;
    const auto count = [=](int k) {
        return static_cast<float>(k < chunks - 1 ? chunk : rows - k * chunk);
    };
    const float count_of_all = static_cast<float>(rows);

    const float origin = means[0];
    float distances = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += blockDim.x) {
        distances += count(k) * (means[k] - origin);
    }
    distances = block_reduce(blockDim.x, distances, Sum{}, scratch);
    const float joined = origin + distances / count_of_all;

    float about_joined = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += blockDim.x) {
        const float apart = means[k] - joined;
        about_joined += squares[k] + count(k) * apart * apart;
    }
    about_joined = block_reduce(blockDim.x, about_joined, Sum{}, scratch);

    if (threadIdx.x == 0) {
        const float unbiased = about_joined / static_cast<float>(rows - 1);
        mean[c] = joined;
        inverse_std[c] = 1.0f / sqrtf(about_joined / count_of_all + epsilon);
        running_mean[c] = kept * running_mean[c] + momentum * joined;
        running_variance[c] = kept * running_variance[c] + momentum * unbiased;
    }
}

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) batch_norm_values(
    const float* x, const float* residual, const float* scale, const float* shift,
    const float* mean, const float* inverse_std, float lowest, float* y, long long rows,
    long long chunk, int C) {
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.y, chunk, rows);
    const Channels factor = product(of_thread(scale, span, C), of_thread(inverse_std, span, C));
    write_normalised(
        x, residual, of_thread(mean, span, C), factor, of_thread(shift, span, C), lowest, y,
        block, span);
}
