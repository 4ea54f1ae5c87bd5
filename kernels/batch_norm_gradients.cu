// The gradients of batch normalisation over the rows of a matrix, in training.
//
//     dshift[c]   = Σ dy
//     dscale[c]   = Σ dy · (x − mean) · inverse_std
//     dx[m,c]     = scale · inverse_std · (dy − dshift / rows − x̂ · dscale / rows)
//
// with x̂ = (x − mean) · inverse_std. x, y, dy, dx and dresidual are (rows, C), vectors (C,).
//
// If the forward pass ended with a ReLU, dy counts as 0 where its result y was not above 0. With
// `shift`, which is null otherwise, y is computed again, to the same bits. With `y`, which is null
// otherwise, the forward pass ended with a residual and a ReLU: what of dy passes the ReLU, the
// residual's gradient too, is left in dresidual. dx or dresidual may be dy.
//
// Sums over rows have two stages, as in batch_norm_forward.cu.
//
// Constants: WIDTH: neighbouring channels of a thread (channel_rows.cuh). Chunks lie along y, shards of
// `shard_rows` along z; a block of a second stage is any number of whole warps.

#include "normalise.cuh"
#include "reduction.cuh"

// What of dy passes the ReLU: y is computed again.
__device__ __forceinline__ Channels passed(
    Channels dy, const Channels& x, const Channels& mean, const Channels& factor,
    const Channels& shift) {
    for (int i = 0; i < WIDTH; ++i) {
        const float y = normalise(x.of[i], mean.of[i], factor.of[i], shift.of[i]);
        dy.of[i] = y > 0.0f ? dy.of[i] : 0.0f;
    }
    return dy;
}

__device__ __forceinline__ Channels shift_of_thread(
    const float* shift, const RowSpan& span, int C) {
    return shift == nullptr ? Channels{} : of_thread(shift, span, C);
}

// Σ dy and Σ dy · (x − mean).
template <int CHANNELS>
struct GradientSums {
    Vector<float, CHANNELS> dy;
    Vector<float, CHANNELS> product;
};

struct JoinGradientSums {
    template <int CHANNELS>
    __device__ __forceinline__ GradientSums<CHANNELS> operator()(
        const GradientSums<CHANNELS>& a, const GradientSums<CHANNELS>& b) const {
        const SumOfVectors add;
        return {add(a.dy, b.dy), add(a.product, b.product)};
    }
};

// Three blocks at once: without saying so, ptxas takes registers for two.
__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS, 3) batch_norm_gradients_of_chunks(
    const float* dy, const float* y, const float* x, const float* scale, const float* shift,
    const float* mean, const float* inverse_std, float* dresidual, float* sums, float* products,
    long long rows, long long shard_rows, long long chunk, int C) {
    __shared__ GradientSums<WIDTH> scratch[CHANNEL_ROWS_THREADS];
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk_of_shard(shard_rows, chunk, rows);
    const Channels centre = of_thread(mean, span, C);
    const Channels factor = product(of_thread(scale, span, C), of_thread(inverse_std, span, C));
    const Channels shifts = shift_of_thread(shift, span, C);
    GradientSums<WIDTH> total = {};
    const auto add = [&](const Channels& arriving, const Channels& source) {
        for (int i = 0; i < WIDTH; ++i) {
            total.dy.of[i] += arriving.of[i];
            total.product.of[i] =
                fmaf(arriving.of[i], source.of[i] - centre.of[i], total.product.of[i]);
        }
    };
    if (shift != nullptr) {
        block.for_each(
            span,
            [&](long long, const Channels& gradient, const Channels& source) {
                add(passed(gradient, source, centre, factor, shifts), source);
            },
            dy, x);
    } else if (y == nullptr) {
        block.for_each(
            span,
            [&](long long, const Channels& gradient, const Channels& source) {
                add(gradient, source);
            },
            dy, x);
    } else {
        block.for_each(
            span,
            [&](long long offset, Channels gradient, const Channels& source,
                const Channels& result) {
                for (int i = 0; i < WIDTH; ++i) {
                    gradient.of[i] = result.of[i] > 0.0f ? gradient.of[i] : 0.0f;
                }
                store_global(dresidual + offset, gradient);
                add(gradient, source);
            },
            dy, x, y);
    }
    total = block.join(total, JoinGradientSums{}, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        block.store_partial(sums, span, total.dy);
        block.store_partial(products, span, total.product);
    }
}

__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) batch_norm_gradients_join(
    const float* all_sums, const float* all_products, const float* inverse_std, float* dscale,
    float* dshift, int shards, int chunks) {
    __shared__ float scratch[CHANNEL_ROWS_THREADS / WARP];
    const int c = blockIdx.x;
    const auto sums_of_shard = [&](int shard) {
        const long long shards_before = static_cast<long long>(c) * shards + shard;
        const float* sums = all_sums + shards_before * chunks;
        const float* products = all_products + shards_before * chunks;
        float sum = 0.0f;
        float product = 0.0f;
        for (int k = threadIdx.x; k < chunks; k += blockDim.x) {
            sum += sums[k];
            product += products[k];
        }
        sum = block_reduce(blockDim.x, sum, Sum{}, scratch);
        product = block_reduce(blockDim.x, product, Sum{}, scratch);
        return GradientSums<1>{{sum}, {product}};
    };
    const auto total = tree_of_shards<GradientSums<1>>(shards, sums_of_shard, JoinGradientSums{});
    if (threadIdx.x == 0) {
        dshift[c] = total.dy.of[0];
        dscale[c] = total.product.of[0] * inverse_std[c];
    }
}

// dx = a · dy + b · (x − mean) + c, one a, b, c a channel. `share` is 1 / rows of the batch. After a
// residual, dy is what passed the ReLU, dresidual.
__global__ void __launch_bounds__(CHANNEL_ROWS_THREADS) batch_norm_input_grad(
    const float* dy, const float* x, const float* scale, const float* shift, const float* mean,
    const float* inverse_std, const float* dscale, const float* dshift, float* dx, float share,
    long long rows, long long chunk, int C) {
    const auto block = ChannelRows<WIDTH>::of_launch(C);
    const RowSpan span = block.of_chunk(blockIdx.y, chunk, rows);
    const Channels centre = of_thread(mean, span, C);
    const Channels shifts = shift_of_thread(shift, span, C);
    const Channels spread = of_thread(inverse_std, span, C);
    const Channels a = product(of_thread(scale, span, C), spread);
    Channels b = of_thread(dscale, span, C);
    Channels c = of_thread(dshift, span, C);
    for (int i = 0; i < WIDTH; ++i) {
        b.of[i] *= -a.of[i] * spread.of[i] * share;
        c.of[i] *= -a.of[i] * share;
    }
    const auto write = [&](long long offset, const Channels& arriving, Channels v) {
        for (int i = 0; i < WIDTH; ++i) {
            const float rest = fmaf(b.of[i], v.of[i] - centre.of[i], c.of[i]);
            v.of[i] = fmaf(a.of[i], arriving.of[i], rest);
        }
        store_global(dx + offset, v);
    };
    if (shift == nullptr) {
        block.for_each(span, write, dy, x);
    } else {
        block.for_each(
            span,
            [&](long long offset, const Channels& gradient, const Channels& source) {
                write(offset, passed(gradient, source, centre, a, shifts), source);
            },
            dy, x);
    }
}
