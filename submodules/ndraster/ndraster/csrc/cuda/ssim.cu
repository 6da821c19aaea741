// Fused SSIM (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, zero padding; ssim.py is the specification. And the mean
// absolute difference on the way, as the photometric loss wants both.
// A block makes 32x32 outputs of one plane by a row pass and a column pass in shared memory; a thread makes four neighbours at
// a time, so that a value is read once for four windows. E[a^2] and E[b^2] only occur as a sum, so four products are blurred.
#include "cuda/common.cuh"
#include "cuda/ssim.cuh"

namespace ndr {
namespace {

constexpr int RADIUS = 5, TAPS = 11, SIDE = 32, PATCH = SIDE + 2 * RADIUS, PITCH = 44;
constexpr int RUN = 4, WARPS_OF_BLOCK = SIDE / RUN, BLOCK_THREADS = 32 * WARPS_OF_BLOCK, SPAN = RUN + TAPS - 1;
constexpr int PRODUCTS = 4;  // a, b, a^2 + b^2, ab
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
__constant__ float WINDOW[TAPS] = {0.00102838008f, 0.00759875813f, 0.03600077f,   0.109360691f,
                                   0.213005533f,   0.266011716f,   0.213005533f,  0.109360691f,
                                   0.03600077f,    0.00759875813f, 0.00102838008f};

struct Plane {
    int width, height;
    size_t offset;
    int x0, y0;  // of the patch, px
    __device__ Plane(int width, int height)
        : width(width), height(height), offset(size_t(blockIdx.z) * width * height),
          x0(int(blockIdx.x) * SIDE - RADIUS), y0(int(blockIdx.y) * SIDE - RADIUS) {}
    __device__ __forceinline__ float at(const float* image, int row, int column) const {
        const int x = x0 + column, y = y0 + row;
        const bool inside = x >= 0 && x < width && y >= 0 && y < height;
        return inside ? __ldg(image + offset + size_t(y) * width + x) : 0.0f;
    }
    // All loads of a thread are under way before the first value is stored.
    __device__ __forceinline__ void load(const float* image, float (*patch)[PITCH]) const {
        constexpr int ROWS = (PATCH + WARPS_OF_BLOCK - 1) / WARPS_OF_BLOCK;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const bool has_second = lane < PITCH - 32;
        float left[ROWS], right[ROWS];
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            const int row = warp + k * WARPS_OF_BLOCK;
            left[k] = at(image, row, lane);
            right[k] = has_second ? at(image, row, lane + 32) : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            const int row = warp + k * WARPS_OF_BLOCK;
            if (row < PATCH) patch[row][lane] = left[k];
            if (row < PATCH && has_second) patch[row][lane + 32] = right[k];
        }
    }
};

// The SPAN values (and two more) from column x of a patch's row, x a multiple of 4.
__device__ __forceinline__ void read_span(const float* row, int x, float v[16]) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const float4 four = reinterpret_cast<const float4*>(row + x)[k];
        v[4 * k] = four.x, v[4 * k + 1] = four.y, v[4 * k + 2] = four.z, v[4 * k + 3] = four.w;
    }
}

// out[j] = window * v[j ...]
__device__ __forceinline__ void blur_span(const float v[SPAN], float out[RUN]) {
#pragma unroll
    for (int j = 0; j < RUN; j++) {
        out[j] = 0;
#pragma unroll
        for (int t = 0; t < TAPS; t++) out[j] += WINDOW[t] * v[j + t];
    }
}

template <int QUANTITIES>
using Rows = float[QUANTITIES][PATCH][SIDE];

__device__ __forceinline__ void write_run(float* row, int x, const float v[RUN]) {
    *reinterpret_cast<float4*>(row + x) = make_float4(v[0], v[1], v[2], v[3]);
}

// Column pass: blurred values of this thread's four pixels, one below the other.
template <int QUANTITIES>
__device__ __forceinline__ void blur_columns(const Rows<QUANTITIES>& rows, float out[QUANTITIES][RUN]) {
    const int x = threadIdx.x % 32, top = threadIdx.x / 32 * RUN;
#pragma unroll
    for (int q = 0; q < QUANTITIES; q++) {
        float v[SPAN];
#pragma unroll
        for (int t = 0; t < SPAN; t++) v[t] = rows[q][top + t][x];
        blur_span(v, out[q]);
    }
}

__device__ void blur_products(const float (*a)[PITCH], const float (*b)[PITCH], Rows<PRODUCTS>& rows) {
    for (int item = threadIdx.x; item < PATCH * SIDE / RUN; item += BLOCK_THREADS) {
        const int y = item / (SIDE / RUN), x = item % (SIDE / RUN) * RUN;
        float u[16], v[16], squares[16], product[16], out[RUN];
        read_span(a[y], x, u), read_span(b[y], x, v);
#pragma unroll
        for (int k = 0; k < SPAN; k++) squares[k] = u[k] * u[k] + v[k] * v[k], product[k] = u[k] * v[k];
        blur_span(u, out), write_run(rows[0][y], x, out);
        blur_span(v, out), write_run(rows[1][y], x, out);
        blur_span(squares, out), write_run(rows[2][y], x, out);
        blur_span(product, out), write_run(rows[3][y], x, out);
    }
}

// Adds two values over the block and to the sums; the block that is the last to do so writes the score.
__device__ void add_up(float ssim, float difference, const ImageScore& weights, double count, ScoreSums* sums, float* score) {
    __shared__ float partial[2][WARPS_OF_BLOCK];
    for (int step = 16; step; step /= 2) {
        ssim += __shfl_xor_sync(ALL_LANES, ssim, step);
        difference += __shfl_xor_sync(ALL_LANES, difference, step);
    }
    if (threadIdx.x % 32 == 0) partial[0][threadIdx.x / 32] = ssim, partial[1][threadIdx.x / 32] = difference;
    __syncthreads();
    if (threadIdx.x) return;
    double totals[2] = {0, 0};
    for (int k = 0; k < WARPS_OF_BLOCK; k++) totals[0] += partial[0][k], totals[1] += partial[1][k];
    atomicAdd(&sums->ssim, totals[0]), atomicAdd(&sums->difference, totals[1]);
    __threadfence();
    if (atomicAdd(&sums->blocks_done, 1ull) + 1 < (unsigned long long)gridDim.x * gridDim.y * gridDim.z) return;
    const double all_ssim = atomicAdd(&sums->ssim, 0.0), all_difference = atomicAdd(&sums->difference, 0.0);
    *score = float(weights.constant + weights.ssim * all_ssim / count + weights.l1 * all_difference / count);
}

__global__ void __launch_bounds__(BLOCK_THREADS)
score_kernel(const float* image, const float* target, int height, int width, ImageScore weights, float* partials,
             ScoreSums* sums, float* score) {
    __shared__ __align__(16) float a[PATCH][PITCH], b[PATCH][PITCH];
    __shared__ __align__(16) Rows<PRODUCTS> rows;
    const Plane plane(width, height);
    plane.load(image, a), plane.load(target, b);
    __syncthreads();
    blur_products(a, b, rows);
    __syncthreads();
    float m[PRODUCTS][RUN];
    blur_columns<PRODUCTS>(rows, m);
    const int column = threadIdx.x % 32, top = threadIdx.x / 32 * RUN, x = plane.x0 + RADIUS + column;
    const size_t all = size_t(gridDim.z) * width * height;
    float ssim = 0, difference = 0;
#pragma unroll
    for (int j = 0; j < RUN; j++) {
        const int y = plane.y0 + RADIUS + top + j;
        if (x >= width || y >= height) continue;
        const float mm = m[0][j] * m[1][j], squares = m[0][j] * m[0][j] + m[1][j] * m[1][j];
        const float a1 = 2 * mm + C1, a2 = 2 * (m[3][j] - mm) + C2;
        const float b1 = squares + C1, b2 = m[2][j] - squares + C2;
        const float inverse = 1 / (b1 * b2), value = a1 * a2 * inverse;
        ssim += value;
        difference += fabsf(a[RADIUS + top + j][RADIUS + column] - b[RADIUS + top + j][RADIUS + column]);
        if (!partials) continue;
        const size_t at = plane.offset + size_t(y) * width + x;
        partials[at] = 2 * inverse * (m[1][j] * (a2 - a1) - m[0][j] * value * (b2 - b1));
        partials[all + at] = -value / b2;
        partials[2 * all + at] = 2 * a1 * inverse;
    }
    add_up(ssim, difference, weights, double(all), sums, score);
}

__global__ void __launch_bounds__(BLOCK_THREADS)
score_backward_kernel(const float* image, const float* target, const float* partials, const float* gradient, int height,
                      int width, ImageScore weights, float* g_image) {
    __shared__ __align__(16) float patch[3][PATCH][PITCH];
    __shared__ __align__(16) Rows<3> rows;
    const size_t all = size_t(gridDim.z) * width * height;
    const Plane plane(width, height);
    for (int q = 0; q < 3; q++) plane.load(partials + q * all, patch[q]);
    __syncthreads();
    for (int item = threadIdx.x; item < PATCH * SIDE / RUN; item += BLOCK_THREADS)
        for (int q = 0; q < 3; q++) {
            const int y = item / (SIDE / RUN), x = item % (SIDE / RUN) * RUN;
            float v[16], out[RUN];
            read_span(patch[q][y], x, v), blur_span(v, out), write_run(rows[q][y], x, out);
        }
    __syncthreads();
    float m[3][RUN];
    blur_columns<3>(rows, m);
    const int x = plane.x0 + RADIUS + threadIdx.x % 32, top = plane.y0 + RADIUS + threadIdx.x / 32 * RUN;
    const float share = *gradient / float(all);
#pragma unroll
    for (int j = 0; j < RUN; j++) {
        if (x >= width || top + j >= height) continue;
        const size_t at = plane.offset + size_t(top + j) * width + x;
        const float u = image[at], v = target[at];
        const float sign = u > v ? 1.0f : u < v ? -1.0f : 0.0f;
        g_image[at] = share * (weights.ssim * (m[0][j] + 2 * u * m[1][j] + v * m[2][j]) + weights.l1 * sign);
    }
}

dim3 grid_for(const ImageShape& shape) {
    return dim3(blocks_for(shape.width, SIDE), blocks_for(shape.height, SIDE), shape.planes);
}

}  // namespace

void launch_image_score(const float* image, const float* target, const ImageShape& shape, const ImageScore& weights,
                        float* partials, ScoreSums* sums, float* score, cudaStream_t stream) {
    C10_CUDA_CHECK(cudaMemsetAsync(sums, 0, sizeof(ScoreSums), stream));
    score_kernel<<<grid_for(shape), BLOCK_THREADS, 0, stream>>>(image, target, shape.height, shape.width, weights, partials,
                                                              sums, score);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_image_score_backward(const float* image, const float* target, const float* partials, const float* gradient,
                                 const ImageShape& shape, const ImageScore& weights, float* g_image, cudaStream_t stream) {
    score_backward_kernel<<<grid_for(shape), BLOCK_THREADS, 0, stream>>>(image, target, partials, gradient, shape.height,
                                                                       shape.width, weights, g_image);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
