// Weights of the samples of a map that is smaller than the image: a sample is the bilinear mean of four pixels, so its
// weight for a Gaussian is the mean of theirs, each with a transmittance of its own. A warp takes 8x4 samples.
#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {
namespace {

constexpr int TAPS = 4;

// The pixels that a sample reads.
struct SampleTaps {
    float x[2], y[2], share[TAPS];  // pixel centres; share of (x0 y0), (x1 y0), (x0 y1), (x1 y1)
    __device__ SampleTaps(const TileGrid& grid, int column, int row) {
        const float real_x = grid.across.at(column, grid.width), real_y = grid.down.at(row, grid.height);
        const int x0 = int(real_x), y0 = int(real_y);
        const float fx = real_x - x0, fy = real_y - y0;
        x[0] = x0 + 0.5f, x[1] = min(x0 + 1, grid.width - 1) + 0.5f;
        y[0] = y0 + 0.5f, y[1] = min(y0 + 1, grid.height - 1) + 0.5f;
        share[0] = (1 - fx) * (1 - fy), share[1] = fx * (1 - fy), share[2] = (1 - fx) * fy, share[3] = fx * fy;
    }
};

template <int PARTS>
__global__ void __launch_bounds__(TILE_PIXELS) sample_kernel(TileLists lists, TileGrid grid, Weights weights) {
    __shared__ SplatBatch<CHUNK> batch;
    const PixelOfThread sample(lists, blockIdx.x, threadIdx.x);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const SampleTaps taps(grid, min(sample.x, lists.width - 1), min(sample.y, lists.height - 1));
    const PixelBox box = grid.box(sample.box_x, sample.box_y, 8, 4);
    const int2 range = lists.ranges[blockIdx.x];
    uint4* masks = weights.masks + first_chunk(range, blockIdx.x) * SUBTILES + warp;
    size_t row = first_row(range, warp) * 32 + pixel_row(lane);
    float transmittance[TAPS];
#pragma unroll
    for (int t = 0; t < TAPS; t++) transmittance[t] = sample.inside ? 1 : 0;  // 0: saturated
    bool done = !sample.inside;
    for (int start = range.x; start < range.y; start += CHUNK, masks += SUBTILES) {
        if (__syncthreads_and(done)) break;
        const int size = min(CHUNK, range.y - start);
        if (threadIdx.x < size) batch.load(threadIdx.x, lists, start + threadIdx.x);
        __syncthreads();
        unsigned mask[CHUNK / 32] = {};
#pragma unroll
        for (int group = 0; group < CHUNK / 32; group++) {
            const int base = 32 * group;
            if (base >= size || __all_sync(ALL_LANES, done)) break;
            const bool near = base + lane < size && batch.touches_box(base + lane, box.x, box.y, box.width, box.height);
            for (unsigned hits = __ballot_sync(ALL_LANES, near); hits; hits &= hits - 1) {
                const int j = base + __ffs(hits) - 1;
                float w = 0;
#pragma unroll
                for (int t = 0; t < TAPS; t++) {
                    float raw;
                    const float alpha = alpha_at(batch.shape[j], batch.depth[j], taps.x[t % 2], taps.y[t / 2], raw);
                    const float after = transmittance[t] * (1 - alpha);
                    const bool stops = after < TRANSMITTANCE_MIN;
                    w += stops ? 0 : taps.share[t] * alpha * transmittance[t];
                    transmittance[t] = stops ? 0 : after;
                }
                done = transmittance[0] + transmittance[1] + transmittance[2] + transmittance[3] == 0;
                if (!__any_sync(ALL_LANES, w > 0)) continue;
                mask[group] |= hits & -hits;
                weights.rows[0][row] = high_half(w * WEIGHT_SCALE);
                if constexpr (PARTS > 1) weights.rows[1][row] = low_half(w * WEIGHT_SCALE);
                row += 32;
            }
        }
        if (lane == 0) *masks = make_uint4(mask[0], mask[1], mask[2], mask[3]);
    }
}

// Sum of the weights of each Gaussian, a lane an entry.
__global__ void __launch_bounds__(TILE_PIXELS) sum_kernel(TileLists lists, Weights weights, float* sums) {
    __shared__ uint8_t positions[SUBTILES][CHUNK];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int2 range = lists.ranges[blockIdx.x];
    const uint4* masks = weights.masks + first_chunk(range, blockIdx.x) * SUBTILES + warp;
    size_t row = first_row(range, warp);
    for (int start = range.x; start < range.y; start += CHUNK, masks += SUBTILES) {
        const int met = expand_mask(*masks, lane, positions[warp]);
        __syncwarp();
        for (int i = lane; i < met; i += 32) {
            const __half2* values = reinterpret_cast<const __half2*>(weights.rows[0] + (row + i) * 32);
            float2 sum = make_float2(0, 0);
#pragma unroll
            for (int k = 0; k < 16; k++) {
                const float2 two = __half22float2(values[k]);
                sum.x += two.x, sum.y += two.y;
            }
            atomicAdd(sums + lists.ids[start + positions[warp][i]], (sum.x + sum.y) / WEIGHT_SCALE);
        }
        __syncwarp();
        row += met;
    }
}

}  // namespace

void launch_sample_weights(const TileLists& lists, const TileGrid& grid, const Weights& weights, cudaStream_t stream) {
    const auto kernel = weights.rows[1] ? sample_kernel<2> : sample_kernel<1>;
    kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, grid, weights);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_sum_weights(const TileLists& lists, const Weights& weights, float* sums, cudaStream_t stream) {
    sum_kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, weights, sums);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
