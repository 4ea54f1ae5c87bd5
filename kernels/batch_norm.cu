// Batch normalisation over the rows of a matrix, with or without a residual and a ReLU behind it,
// and its gradients.
//
//     mean[c]     = Σ x[m,c] / rows          inverse_std[c] = 1 / √(Σ (x[m,c] − mean)² / rows + ε)
//     y[m,c]      = scale · (x − mean) · inverse_std + shift
//                   HAS_RESIDUAL: + residual[m,c]      then RELU: max(…, 0)
//     dshift[c]   = Σ dy                     RELU: dy counts as 0 where y is not above 0
//     dscale[c]   = Σ dy · (x − mean) · inverse_std
//     dx[m,c]     = scale · inverse_std · (dy − dshift / rows − x̂ · dscale / rows)
//
// with x̂ = (x − mean) · inverse_std. x, y, dy, dx and the residual are (rows, C), vectors (C,).
// dx may be dy.
//
// Sums over rows have two stages: blocks over chunks of rows write (C, chunks), which a block a
// channel then joins. Of a chunk that is its mean and the squares about it, which lose no digits
// where the mean is large (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for
// computing sample variances", 1979).
//
// A ReLU's gradient computes y again, to the same bits. Not so with HAS_RESIDUAL: there it reads y,
// and what of dy comes through, the residual's gradient too, is left in dresidual, which may be dy.
// Arrays that are not used may be null.
//
// Constants: C; WIDTH, LANES and ROWS, how a chunk is divided over a block (channel_rows.cuh);
// JOIN_THREADS, threads a block of a second stage; HAS_RESIDUAL and RELU, what follows. Chunks lie
// along y.

#include "channel_rows.cuh"
#include "reduction.cuh"

using Rows = ChannelRows<C, WIDTH, LANES, ROWS>;
using Channels = Vector<float, WIDTH>;

__device__ __forceinline__ Channels zeros() {
    return {};
}

// One vector's values for the thread's channels; zeros beyond the last channel.
__device__ __forceinline__ Channels of_thread(const float* vector, const RowSpan& span) {
    return span.channel < C ? load_vector<WIDTH>(vector + span.channel) : zeros();
}

__device__ __forceinline__ Channels product(Channels a, const Channels& b) {
    for (int i = 0; i < WIDTH; ++i) {
        a.of[i] *= b.of[i];
    }
    return a;
}

// Before residual and ReLU. The mean first, or its digits would cancel; fmaf leaves the compiler no
// choice of its own, so that the gradient finds the same sign.
__device__ __forceinline__ float normalise(float x, float mean, float factor, float shift) {
    return fmaf(x - mean, factor, shift);
}

__device__ __forceinline__ void write_normalised(
    const float* x, const float* residual, const Channels& mean, const Channels& factor,
    const Channels& shift, float* y, const RowSpan& span) {
    const auto write = [&](long long offset, Channels v, const Channels& branch) {
        for (int i = 0; i < WIDTH; ++i) {
            float value = normalise(v.of[i], mean.of[i], factor.of[i], shift.of[i]);
            if (HAS_RESIDUAL) {
                value += branch.of[i];
            }
            v.of[i] = RELU && value < 0.0f ? 0.0f : value;  // not fmaxf: NaN stays NaN
        }
        store_vector(y + offset, v);
    };
    if constexpr (HAS_RESIDUAL) {
        Rows::for_each(span, write, x, residual);
    } else {
        Rows::for_each(
            span, [&](long long offset, const Channels& v) { write(offset, v, zeros()); }, x);
    }
}

// Statistics

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

__global__ void __launch_bounds__(LANES * ROWS) batch_norm_statistics_of_chunks(
    const float* x, float* means, float* squares, long long rows, long long chunk) {
    __shared__ Moments scratch[Rows::THREADS];
    const RowSpan span = Rows::of_chunk(blockIdx.y, chunk, rows);
    Moments moments = {};
    Rows::for_each(
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
    moments = Rows::join(moments, JoinMoments{}, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        Rows::store_partial(means, span, moments.mean);
        Rows::store_partial(squares, span, moments.squares);
    }
}

// Joins the chunks of channel blockIdx.x, and moves the running statistics:
// running = kept · running + momentum · new. The running variance has Bessel's correction.
__global__ void __launch_bounds__(JOIN_THREADS) batch_norm_statistics_join(
    const float* means, const float* squares, float* running_mean, float* running_variance,
    float* mean, float* inverse_std, float kept, float momentum, float epsilon, long long rows,
    long long chunk, int chunks) {
    __shared__ float scratch[JOIN_THREADS / WARP];
    const int c = blockIdx.x;
    means += static_cast<long long>(c) * chunks;
    squares += static_cast<long long>(c) * chunks;
    const auto count = [=](int k) {
        return static_cast<float>(k < chunks - 1 ? chunk : rows - k * chunk);
    };
    const float count_of_all = static_cast<float>(rows);

    const float origin = means[0];
    float distances = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += JOIN_THREADS) {
        distances += count(k) * (means[k] - origin);
    }
    distances = block_reduce<JOIN_THREADS>(distances, Sum{}, scratch);
    const float joined = origin + distances / count_of_all;

    float about_joined = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += JOIN_THREADS) {
        const float apart = means[k] - joined;
        about_joined += squares[k] + count(k) * apart * apart;
    }
    about_joined = block_reduce<JOIN_THREADS>(about_joined, Sum{}, scratch);

    if (threadIdx.x == 0) {
        const float unbiased = about_joined / static_cast<float>(rows - 1);
        mean[c] = joined;
        inverse_std[c] = 1.0f / sqrtf(about_joined / count_of_all + epsilon);
        running_mean[c] = kept * running_mean[c] + momentum * joined;
        running_variance[c] = kept * running_variance[c] + momentum * unbiased;
    }
}

// Values

__global__ void __launch_bounds__(LANES * ROWS) batch_norm_values(
    const float* x, const float* residual, const float* scale, const float* shift,
    const float* mean, const float* inverse_std, float* y, long long rows, long long chunk) {
    const RowSpan span = Rows::of_chunk(blockIdx.y, chunk, rows);
    const Channels factor = product(of_thread(scale, span), of_thread(inverse_std, span));
    write_normalised(
        x, residual, of_thread(mean, span), factor, of_thread(shift, span), y, span);
}

__global__ void __launch_bounds__(LANES * ROWS) batch_norm_inference(
    const float* x, const float* residual, const float* scale, const float* shift,
    const float* mean, const float* variance, float epsilon, float* y, long long rows,
    long long chunk) {
    const RowSpan span = Rows::of_chunk(blockIdx.y, chunk, rows);
    Channels factor = of_thread(scale, span);
    const Channels spread = of_thread(variance, span);
    for (int i = 0; i < WIDTH; ++i) {
        factor.of[i] /= sqrtf(spread.of[i] + epsilon);
    }
    write_normalised(
        x, residual, of_thread(mean, span), factor, of_thread(shift, span), y, span);
}

// Gradients

// Whether what comes through the ReLU is decided by computing y again.
constexpr bool Y_AGAIN = RELU && !HAS_RESIDUAL;

// What of dy comes through the ReLU, if that is still to be decided.
__device__ __forceinline__ float passed(
    float dy, float x, float mean, float factor, float shift) {
    return !Y_AGAIN || normalise(x, mean, factor, shift) > 0.0f ? dy : 0.0f;
}

__device__ __forceinline__ Channels shift_of_thread(const float* shift, const RowSpan& span) {
    return Y_AGAIN ? of_thread(shift, span) : zeros();
}

// Σ dy and Σ dy · (x − mean).
struct GradientSums {
    Channels dy;
    Channels product;
};

struct JoinGradientSums {
    __device__ __forceinline__ GradientSums operator()(
        const GradientSums& a, const GradientSums& b) const {
        const SumOfVectors add;
        return {add(a.dy, b.dy), add(a.product, b.product)};
    }
};

// One block at once at least: without saying so, ptxas spills registers on sm_70.
__global__ void __launch_bounds__(LANES * ROWS, 1) batch_norm_gradients_of_chunks(
    const float* dy, const float* y, const float* x, const float* scale, const float* shift,
    const float* mean, const float* inverse_std, float* dresidual, float* sums, float* products,
    long long rows, long long chunk) {
    __shared__ GradientSums scratch[Rows::THREADS];
    const RowSpan span = Rows::of_chunk(blockIdx.y, chunk, rows);
    const Channels centre = of_thread(mean, span);
    const Channels factor = product(of_thread(scale, span), of_thread(inverse_std, span));
    const Channels shifts = shift_of_thread(shift, span);
    GradientSums total = {};
    const auto add = [&](long long, const Channels& gradient, const Channels& source) {
        for (int i = 0; i < WIDTH; ++i) {
            const float arriving = passed(
                gradient.of[i], source.of[i], centre.of[i], factor.of[i], shifts.of[i]);
            total.dy.of[i] += arriving;
            total.product.of[i] =
                fmaf(arriving, source.of[i] - centre.of[i], total.product.of[i]);
        }
    };
    if constexpr (HAS_RESIDUAL) {
        Rows::for_each(
            span,
            [&](long long offset, Channels gradient, const Channels& source,
                const Channels& result) {
                for (int i = 0; i < WIDTH; ++i) {
                    gradient.of[i] = result.of[i] > 0.0f ? gradient.of[i] : 0.0f;
                }
                store_vector(dresidual + offset, gradient);
                add(offset, gradient, source);
            },
            dy, x, y);
    } else {
        Rows::for_each(span, add, dy, x);
    }
    total = Rows::join(total, JoinGradientSums{}, scratch);
    if (threadIdx.y == 0 && span.channel < C) {
        Rows::store_partial(sums, span, total.dy);
        Rows::store_partial(products, span, total.product);
    }
}

__global__ void __launch_bounds__(JOIN_THREADS) batch_norm_gradients_join(
    const float* sums, const float* products, const float* inverse_std, float* dscale,
    float* dshift, int chunks) {
    __shared__ float scratch[JOIN_THREADS / WARP];
    const int c = blockIdx.x;
    sums += static_cast<long long>(c) * chunks;
    products += static_cast<long long>(c) * chunks;
    float sum = 0.0f;
    float product = 0.0f;
    for (int k = threadIdx.x; k < chunks; k += JOIN_THREADS) {
        sum += sums[k];
        product += products[k];
    }
    sum = block_reduce<JOIN_THREADS>(sum, Sum{}, scratch);
    product = block_reduce<JOIN_THREADS>(product, Sum{}, scratch);
    if (threadIdx.x == 0) {
        dshift[c] = sum;
        dscale[c] = product * inverse_std[c];
    }
}

// dx = a · dy + b · (x − mean) + c, one a, b, c a channel. `share` is 1 / rows of the batch. With
// HAS_RESIDUAL, dy is what came through the ReLU.
__global__ void __launch_bounds__(LANES * ROWS) batch_norm_input_grad(
    const float* dy, const float* x, const float* scale, const float* shift, const float* mean,
    const float* inverse_std, const float* dscale, const float* dshift, float* dx, float share,
    long long rows, long long chunk) {
    const RowSpan span = Rows::of_chunk(blockIdx.y, chunk, rows);
    const Channels centre = of_thread(mean, span);
    const Channels shifts = shift_of_thread(shift, span);
    const Channels spread = of_thread(inverse_std, span);
    const Channels a = product(of_thread(scale, span), spread);
    Channels b = of_thread(dscale, span);
    Channels c = of_thread(dshift, span);
    for (int i = 0; i < WIDTH; ++i) {
        b.of[i] *= -a.of[i] * spread.of[i] * share;
        c.of[i] *= -a.of[i] * share;
    }
    Rows::for_each(
        span,
        [&](long long offset, const Channels& gradient, Channels v) {
            for (int i = 0; i < WIDTH; ++i) {
                const float arriving =
                    passed(gradient.of[i], v.of[i], centre.of[i], a.of[i], shifts.of[i]);
                v.of[i] = fmaf(a.of[i], arriving, fmaf(b.of[i], v.of[i] - centre.of[i], c.of[i]));
            }
            store_vector(dx + offset, v);
        },
        dy, x);
}
