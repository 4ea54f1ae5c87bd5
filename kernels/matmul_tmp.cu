__global__ void matmul_tmp(const float* a, const float* b, const float* bias, float* c, int M, int N, int K, int ta, int tb) {
    int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= M * N) return;
    int m = e / N, n = e % N;
    float s = 0;
    for (int k = 0; k < K; ++k) s += (ta ? a[k * M + m] : a[m * K + k]) * (tb ? b[n * K + k] : b[k * N + n]);
    c[e] = s + (bias ? bias[n] : 0.0f);
}
