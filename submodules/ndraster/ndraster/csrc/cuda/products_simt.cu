// The three products without matrix units, for GPUs before sm_80: a warp takes its 32 pixels and 32 channels at a time.
// In float throughout; slow and small.
#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {
namespace {

constexpr int SLICE = 32;  // channels a warp works on: one a lane

struct Job {  // what a warp works on
    int tile, warp, lane, first;  // first channel
    bool inside;
    size_t at;
    __device__ Job(const TileLists& lists, int width) {
        const int slices = (width + SLICE - 1) / SLICE;
        tile = blockIdx.x / slices, first = blockIdx.x % slices * SLICE, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const PixelOfThread pixel(lists, tile, threadIdx.x);
        inside = pixel.inside;
        at = inside ? size_t(pixel.y) * lists.width + pixel.x : 0;
    }
};

// Calls visit(id, row, weight of this lane's pixel) for every entry that the warp met.
template <typename Visit>
__device__ void for_each_entry(const TileLists& lists, const Weights& weights, const Job& job, Visit visit) {
    const int2 range = lists.ranges[job.tile];
    const uint4* masks = weights.masks + first_chunk(range, job.tile) * SUBTILES + job.warp;
    size_t row = first_row(range, job.warp);
    for (int start = range.x; start < range.y; start += CHUNK, masks += SUBTILES) {
        const uint4 mask = *masks;
        const unsigned words[4] = {mask.x, mask.y, mask.z, mask.w};
        for (int i = 0; i < 4; i++)
            for (unsigned bits = words[i]; bits; bits &= bits - 1, row++) {
                const size_t cell = row * 32 + pixel_row(job.lane);
                const float w = (__half2float(weights.rows[0][cell]) + __half2float(weights.rows[1][cell])) / WEIGHT_SCALE;
                visit(lists.ids[start + 32 * i + __ffs(bits) - 1], row, w);
            }
    }
}

__device__ float own_channel(const float* rows, int id, int width, const Job& job) {
    return job.first + job.lane < width ? rows[size_t(id) * width + job.first + job.lane] : 0;
}

__global__ void product_kernel(TileLists lists, Weights weights, const float* features, int width, float* map) {
    const Job job(lists, width);
    float sums[SLICE] = {};
    for_each_entry(lists, weights, job, [&](int id, size_t, float w) {
        const float f = own_channel(features, id, width, job);
#pragma unroll
        for (int c = 0; c < SLICE; c++) sums[c] += w * __shfl_sync(ALL_LANES, f, c);
    });
#pragma unroll
    for (int c = 0; c < SLICE; c++)
        if (job.inside && job.first + c < width) map[job.at * width + job.first + c] = sums[c];
}

__global__ void gradient_kernel(TileLists lists, Weights weights, const float* g_map, int width, float* out, int stride) {
    __shared__ float stage[SUBTILES][32][SLICE + 1];
    const Job job(lists, width);
    for (int c = 0; c < SLICE; c++)
        stage[job.warp][job.lane][c] = job.inside && job.first + c < width ? g_map[job.at * width + job.first + c] : 0;
    __syncwarp();
    for_each_entry(lists, weights, job, [&](int id, size_t, float w) {
        float sum = 0;
#pragma unroll
        for (int p = 0; p < 32; p++) sum += __shfl_sync(ALL_LANES, w, p) * stage[job.warp][p][job.lane];
        if (job.first + job.lane < width) atomicAdd(out + size_t(id) * stride + job.first + job.lane, sum);
    });
}

// One block a tile: the slices of channels follow each other and add to the rows.
__global__ void dots_kernel(TileLists lists, Weights weights, const float* features, int width, const float* g_map,
                            float* rows) {
    Job job(lists, SLICE);
    for (job.first = 0; job.first < width; job.first += SLICE) {
        float g[SLICE];
#pragma unroll
        for (int c = 0; c < SLICE; c++)
            g[c] = job.inside && job.first + c < width ? g_map[job.at * width + job.first + c] : 0;
        for_each_entry(lists, weights, job, [&](int id, size_t row, float) {
            const float f = own_channel(features, id, width, job);
            float sum = job.first ? rows[row * 32 + job.lane] : 0;
#pragma unroll
            for (int c = 0; c < SLICE; c++) sum += g[c] * __shfl_sync(ALL_LANES, f, c);
            rows[row * 32 + job.lane] = sum;
        });
    }
}

}  // namespace

void launch_product_simt(const TileLists& lists, const Weights& weights, const float* features, int width, float* map,
                         cudaStream_t stream) {
    const int blocks = lists.tiles_x * lists.tiles_y * blocks_for(width, SLICE);
    product_kernel<<<blocks, TILE_PIXELS, 0, stream>>>(lists, weights, features, width, map);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_gradient_simt(const TileLists& lists, const Weights& weights, const float* g_map, int width, float* out,
                          int stride, cudaStream_t stream) {
    const int blocks = lists.tiles_x * lists.tiles_y * blocks_for(width, SLICE);
    gradient_kernel<<<blocks, TILE_PIXELS, 0, stream>>>(lists, weights, g_map, width, out, stride);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_dots_simt(const TileLists& lists, const Weights& weights, const float* features, int width,
                      const float* g_map, float* rows, cudaStream_t stream) {
    dots_kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, weights, features, width, g_map, rows);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
