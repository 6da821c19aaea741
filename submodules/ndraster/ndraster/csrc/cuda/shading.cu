// View-dependent colours, one thread a Gaussian. A Gaussian's coefficients are neighbours in memory, so a block moves its rows
// through shared memory, where 49 floats a row keep the threads on different banks. Loads are of the read-only kind, or else
// each would wait for the store before it.
#include <c10/cuda/CUDAException.h>

#include "cuda/shading.cuh"
#include "shared/sh.h"

namespace ndr {
namespace {

constexpr int SHADE_THREADS = 128, SH_PITCH = 16 * 3 + 1;

// Calls move(index in memory, index in shared memory) for columns [0, wanted) of the block's rows of `size` values.
template <typename Move>
__device__ __forceinline__ void for_each_value(int rows, int size, int wanted, Move move) {
    if (size == 0) return;
    const int row_step = SHADE_THREADS / size, column_step = SHADE_THREADS % size;
    int row = threadIdx.x / size, column = threadIdx.x % size;
    const size_t base = size_t(blockIdx.x) * SHADE_THREADS * size;
#pragma unroll 12
    for (int at = threadIdx.x; at < rows * size; at += SHADE_THREADS) {
        if (column < wanted) move(base + at, row * SH_PITCH + column);
        row += row_step, column += column_step;
        if (column >= size) column -= size, row++;
    }
}

__device__ void fetch(const Coefficients<const float>& sh, int rows, int wanted, float* tile) {
    for_each_value(rows, sh.first_size, wanted, [=](size_t from, int to) { tile[to] = __ldg(sh.first + from); });
    float* rest = tile + sh.first_size;
    for_each_value(rows, sh.rest_size, wanted - sh.first_size, [=](size_t from, int to) { rest[to] = __ldg(sh.rest + from); });
}

__device__ void deliver(const float* tile, int rows, const Coefficients<float>& out) {
    for_each_value(rows, out.first_size, out.first_size, [=](size_t to, int from) { out.first[to] = tile[from]; });
    const float* rest = tile + out.first_size;
    for_each_value(rows, out.rest_size, out.rest_size, [=](size_t to, int from) { out.rest[to] = rest[from]; });
}

// The camera with an SH degree that the compiler knows.
template <int DEGREE>
__device__ __forceinline__ Camera load_at(const CameraRef& ref) {
    Camera camera = load(ref);
    camera.sh_degree = DEGREE;
    return camera;
}

template <int DEGREE>
__global__ void __launch_bounds__(SHADE_THREADS)
shade_kernel(CameraRef ref, const float* means, Coefficients<const float> sh, int count, float* colors) {
    __shared__ float tile[SHADE_THREADS * SH_PITCH];
    const Camera camera = load_at<DEGREE>(ref);
    const int first = blockIdx.x * SHADE_THREADS, i = first + threadIdx.x;
    fetch(sh, min(SHADE_THREADS, count - first), sh_count(DEGREE) * 3, tile);
    __syncthreads();
    if (i >= count) return;
    const float mean[3] = {means[3 * i], means[3 * i + 1], means[3 * i + 2]};
    float rgb[3];
    sh_color(camera, mean, tile + threadIdx.x * SH_PITCH, rgb);
    for (int c = 0; c < 3; c++) colors[3 * i + c] = rgb[c];
}

template <int DEGREE>
__global__ void __launch_bounds__(SHADE_THREADS)
shade_backward_kernel(CameraRef ref, const float* means, Coefficients<const float> sh, const float* colors,
                      const float* g_colors, int count, float* g_means, Coefficients<float> gradients) {
    __shared__ float tile[SHADE_THREADS * SH_PITCH];
    const Camera camera = load_at<DEGREE>(ref);
    const int first = blockIdx.x * SHADE_THREADS, i = first + threadIdx.x, rows = min(SHADE_THREADS, count - first);
    const int active = sh_count(DEGREE) * 3;
    fetch(sh, rows, active, tile);
    __syncthreads();
    if (i < count) {
        float* row = tile + threadIdx.x * SH_PITCH;
        float rgb[3], g_rgb[3], mean[3], g_mean[3] = {0, 0, 0};
        for (int c = 0; c < 3; c++)
            rgb[c] = colors[3 * i + c], g_rgb[c] = g_colors[3 * i + c], mean[c] = means[3 * i + c];
        const bool seen = g_rgb[0] != 0 || g_rgb[1] != 0 || g_rgb[2] != 0;
        if (seen) sh_color_backward(camera, mean, row, rgb, g_rgb, row, g_mean);
        for (int k = seen ? active : 0; k < sh.first_size + sh.rest_size; k++) row[k] = 0;
        for (int c = 0; c < 3; c++) g_means[3 * i + c] = g_mean[c];
    }
    __syncthreads();
    deliver(tile, rows, gradients);
}

unsigned blocks_of(int count) { return unsigned((count + SHADE_THREADS - 1) / SHADE_THREADS); }

template <typename Kernel>
Kernel at_degree(int degree, Kernel zero, Kernel one, Kernel two, Kernel three) {
    return degree == 0 ? zero : degree == 1 ? one : degree == 2 ? two : three;
}

}  // namespace

void launch_shade(const CameraRef& camera, const float* means, const Coefficients<const float>& sh, int count, float* colors,
                  cudaStream_t stream) {
    if (count == 0) return;
    const auto kernel =
        at_degree(camera.value.sh_degree, shade_kernel<0>, shade_kernel<1>, shade_kernel<2>, shade_kernel<3>);
    kernel<<<blocks_of(count), SHADE_THREADS, 0, stream>>>(camera, means, sh, count, colors);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_shade_backward(const CameraRef& camera, const float* means, const Coefficients<const float>& sh,
                           const float* colors, const float* g_colors, int count, float* g_means,
                           const Coefficients<float>& gradients, cudaStream_t stream) {
    if (count == 0) return;
    const auto kernel = at_degree(camera.value.sh_degree, shade_backward_kernel<0>, shade_backward_kernel<1>,
                                  shade_backward_kernel<2>, shade_backward_kernel<3>);
    kernel<<<blocks_of(count), SHADE_THREADS, 0, stream>>>(camera, means, sh, colors, g_colors, count, g_means, gradients);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
