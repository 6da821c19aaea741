// Fused SSIM (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, zero padding. ssim.py is the specification.
// A block makes 32x16 outputs of one plane: five blurred products by a row pass and a column pass in shared memory.
#include "cuda/common.cuh"

namespace ndr {
namespace {

constexpr int RADIUS = 5, TAPS = 11, BLOCK_X = 32, BLOCK_Y = 16;
constexpr int PATCH_X = BLOCK_X + 2 * RADIUS, PATCH_Y = BLOCK_Y + 2 * RADIUS;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
__constant__ float WINDOW[TAPS] = {0.00102838008f, 0.00759875813f, 0.03600077f,   0.109360691f,
                                   0.213005533f,   0.266011716f,   0.213005533f,  0.109360691f,
                                   0.03600077f,    0.00759875813f, 0.00102838008f};

struct Plane {
    int width, height;
    size_t offset;
    __device__ float at(const float* image, int x, int y) const {
        return x >= 0 && x < width && y >= 0 && y < height ? image[offset + size_t(y) * width + x] : 0.0f;
    }
};

template <int QUANTITIES>
using Rows = float[QUANTITIES][PATCH_Y][BLOCK_X];

// Column pass: blurred values of this thread's pixel.
template <int QUANTITIES>
__device__ void blur_columns(const Rows<QUANTITIES>& rows, float out[QUANTITIES]) {
#pragma unroll
    for (int q = 0; q < QUANTITIES; q++) {
        out[q] = 0;
#pragma unroll
        for (int t = 0; t < TAPS; t++) out[q] += WINDOW[t] * rows[q][threadIdx.y + t][threadIdx.x];
    }
}

__global__ void __launch_bounds__(BLOCK_X* BLOCK_Y)
ssim_forward_kernel(const float* image, const float* target, int height, int width, float* partials, double* sum) {
    __shared__ float a[PATCH_Y][PATCH_X], b[PATCH_Y][PATCH_X];
    __shared__ Rows<5> rows;
    const Plane plane{width, height, size_t(blockIdx.z) * width * height};
    const int x0 = blockIdx.x * BLOCK_X - RADIUS, y0 = blockIdx.y * BLOCK_Y - RADIUS;
    const int thread = threadIdx.y * BLOCK_X + threadIdx.x;
    for (int k = thread; k < PATCH_Y * PATCH_X; k += BLOCK_X * BLOCK_Y) {
        a[k / PATCH_X][k % PATCH_X] = plane.at(image, x0 + k % PATCH_X, y0 + k / PATCH_X);
        b[k / PATCH_X][k % PATCH_X] = plane.at(target, x0 + k % PATCH_X, y0 + k / PATCH_X);
    }
    __syncthreads();
    for (int y = threadIdx.y; y < PATCH_Y; y += BLOCK_Y) {
        float s[5] = {};
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
            const float u = a[y][threadIdx.x + t], v = b[y][threadIdx.x + t], w = WINDOW[t];
            s[0] += w * u, s[1] += w * v, s[2] += w * u * u, s[3] += w * v * v, s[4] += w * u * v;
        }
        for (int q = 0; q < 5; q++) rows[q][y][threadIdx.x] = s[q];
    }
    __syncthreads();
    float m[5];
    blur_columns<5>(rows, m);
    const int x = x0 + RADIUS + threadIdx.x, y = y0 + RADIUS + threadIdx.y;
    float value = 0;
    if (x < width && y < height) {
        const float mm = m[0] * m[1], squares = m[0] * m[0] + m[1] * m[1];
        const float a1 = 2 * mm + C1, a2 = 2 * (m[4] - mm) + C2;
        const float b1 = squares + C1, b2 = m[2] + m[3] - squares + C2;
        const float inverse = 1 / (b1 * b2);
        value = a1 * a2 * inverse;
        if (partials) {
            const size_t at = plane.offset + size_t(y) * width + x, all = size_t(gridDim.z) * width * height;
            partials[at] = 2 * inverse * (m[1] * (a2 - a1) - m[0] * value * (b2 - b1));
            partials[all + at] = -value / b2;
            partials[2 * all + at] = 2 * a1 * inverse;
        }
    }
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    __shared__ float warp_sums[BLOCK_Y];
    if (threadIdx.x == 0) warp_sums[threadIdx.y] = value;
    __syncthreads();
    if (thread == 0) {
        double total = 0;
        for (int k = 0; k < BLOCK_Y; k++) total += warp_sums[k];
        atomicAdd(sum, total);
    }
}

__global__ void __launch_bounds__(BLOCK_X* BLOCK_Y)
ssim_backward_kernel(const float* image, const float* target, const float* partials, const float* gradient,
                     int height, int width, float* g_image) {
    __shared__ float patch[3][PATCH_Y][PATCH_X];
    __shared__ Rows<3> rows;
    const size_t all = size_t(gridDim.z) * width * height;
    const Plane plane{width, height, size_t(blockIdx.z) * width * height};
    const int x0 = blockIdx.x * BLOCK_X - RADIUS, y0 = blockIdx.y * BLOCK_Y - RADIUS;
    const int thread = threadIdx.y * BLOCK_X + threadIdx.x;
    for (int k = thread; k < PATCH_Y * PATCH_X; k += BLOCK_X * BLOCK_Y)
        for (int q = 0; q < 3; q++)
            patch[q][k / PATCH_X][k % PATCH_X] =
                plane.at(partials + q * all, x0 + k % PATCH_X, y0 + k / PATCH_X);
    __syncthreads();
    for (int y = threadIdx.y; y < PATCH_Y; y += BLOCK_Y)
        for (int q = 0; q < 3; q++) {
            float s = 0;
#pragma unroll
            for (int t = 0; t < TAPS; t++) s += WINDOW[t] * patch[q][y][threadIdx.x + t];
            rows[q][y][threadIdx.x] = s;
        }
    __syncthreads();
    float m[3];
    blur_columns<3>(rows, m);
    const int x = x0 + RADIUS + threadIdx.x, y = y0 + RADIUS + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t at = plane.offset + size_t(y) * width + x;
    g_image[at] = *gradient / float(all) * (m[0] + 2 * image[at] * m[1] + target[at] * m[2]);
}

dim3 grid_for(int planes, int height, int width) {
    return dim3(blocks_for(width, BLOCK_X), blocks_for(height, BLOCK_Y), planes);
}

}  // namespace

void launch_ssim_forward(const float* image, const float* target, int planes, int height, int width, float* partials,
                         double* sum, cudaStream_t stream) {
    ssim_forward_kernel<<<grid_for(planes, height, width), dim3(BLOCK_X, BLOCK_Y), 0, stream>>>(
        image, target, height, width, partials, sum);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_ssim_backward(const float* image, const float* target, const float* partials, const float* gradient,
                          int planes, int height, int width, float* g_image, cudaStream_t stream) {
    ssim_backward_kernel<<<grid_for(planes, height, width), dim3(BLOCK_X, BLOCK_Y), 0, stream>>>(
        image, target, partials, gradient, height, width, g_image);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
