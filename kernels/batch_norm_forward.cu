// Batch normalisation over the rows of a matrix by their own statistics, in training.
//
//     mean[c]     = Σ x[m,c] / rows          inverse_std[c] = 1 / √(Σ (x[m,c] − mean)² / rows + ε)
//     y[m,c]      = scale · (x − mean) · inverse_std + shift
//                   then + residual[m,c] and max(…, 0)
//
// x, y and the residual are (rows, C), vectors (C,). The residual may be null; y is at least
// `lowest`, which is 0 with a ReLU and −∞ without one.
//
// Sums over rows have two stages: blocks over chunks of the rows of shards (shards.cuh) write
// (C, shards, chunks), which a block a channel then joins, shard by shard. Of a chunk that is its mean
// and the squares about it, which lose no digits where the mean is large (Chan, Golub, LeVeque,
// "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
//
// Constants: WIDTH: neighbouring channels of a thread (channel_rows.cuh). Chunks lie along y, shards of
// `shard_rows` along z; a block of a second stage is any number of whole warps.

#include "normalise.cuh"
#include "reduction.cuh"

// Number, mean and squares about the mean of some rows, of neighbouring channels.
template <int CHANNELS>
struct Moments {
    float count;
    Vector<float, CHANNELS> mean;
    Vector<float, CHANNELS> squares;
};

struct JoinMoments {
    template <int CHANNELS>
    __device__ __forceinline__ Moments<CHANNELS> operator()(
        const Moments<CHANNELS>& a, const Moments<CHANNELS>& b) const {
        Moments<CHANNELS> both;
        both.count = a.count + b.count;
        const float share = both.count > 0.0f ? b.count / both.count : 0.0f;
        for (int i = 0; i < CHANNELS; ++i) {
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
    const float* x, float* means, float* squares, long long rows, long long shard_rows,
    long long chunk, int C) {
    __shared__ Moments<WIDTH> scratch[CHANNEL_ROWS_THREADS];
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk_of_shard(shard_rows, chunk, rows);
    Moments<WIDTH> moments = {};
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
    const float* all_means, const float* all_squares, float* running_mean,
    float* running_variance, float* mean, float* inverse_std, float kept, float momentum,
    float epsilon, long long rows, long long shard_rows, long long chunk, int shards, int chunks) {
    __shared__ float scratch[CHANNEL_ROWS_THREADS / WARP];
    const int c = blockIdx.x;
    const auto moments_of_shard = [&](int shard) {
        const long long shards_before = static_cast<long long>(c) * shards + shard;
        const float* means = all_means + shards_before * chunks;
        const float* squares = all_squares + shards_before * chunks;
        const auto count = [=](int k) {
            const Terms of_chunk = terms_of_slice(shard, shard_rows, k, chunk, rows);
            return static_cast<float>(of_chunk.last - of_chunk.first);
        };
        const Terms all = terms_of_slice(shard, shard_rows, 0, shard_rows, rows);
        const float count_of_all = static_cast<float>(all.last - all.first);

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
        return Moments<1>{count_of_all, {joined}, {about_joined}};
    };
    const auto joined = tree_of_shards<Moments<1>>(shards, moments_of_shard, JoinMoments{});

    if (threadIdx.x == 0) {
        const float centre = joined.mean.of[0];
        const float squares = joined.squares.of[0];
        const float unbiased = squares / static_cast<float>(rows - 1);
        mean[c] = centre;
        inverse_std[c] = 1.0f / sqrtf(squares / static_cast<float>(rows) + epsilon);
        running_mean[c] = kept * running_mean[c] + momentum * centre;
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
