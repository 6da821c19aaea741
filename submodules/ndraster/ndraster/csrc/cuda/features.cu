// Feature maps of any width as matrix products per tile: map [256 x D] = W [256 x K] F [K x D], and dF = W^T dmap.
// W is made once per batch of 32 Gaussians in shared memory; D is walked in slices of 32 or 64 channels (grid dimension y).
#include "cuda/common.cuh"

namespace ndr {
namespace {

constexpr int BATCH = 32;   // Gaussians whose weights are in shared memory
constexpr int WIDE = 64;    // channels a block handles, if there are that many
constexpr int NARROW = 32;

struct WeightState {
    float transmittance = 1;
    bool done;
};

// Blending weights of a batch at this thread's pixel, into column threadIdx.x of w; zero where there is none.
__device__ void batch_weights(const SplatBatch<BATCH>& batch, int size, const PixelOfThread& pixel, WeightState& state,
                              float (*w)[TILE_PIXELS]) {
    const int lane = threadIdx.x % 32;
    const float px = pixel.x + 0.5f, py = pixel.y + 0.5f;
#pragma unroll
    for (int k = 0; k < BATCH; k++) w[k][threadIdx.x] = 0;
    if (__all_sync(ALL_LANES, state.done)) return;
    const bool near = lane < size && batch.touches_box(lane, pixel.box_x, pixel.box_y);
    for (unsigned hits = __ballot_sync(ALL_LANES, near); hits; hits &= hits - 1) {
        const int j = __ffs(hits) - 1;
        float gaussian, dx, dy;
        const float alpha = batch.alpha(j, px, py, gaussian, dx, dy);
        if (state.done || alpha == 0) continue;
        const float after = state.transmittance * (1 - alpha);
        if (after < TRANSMITTANCE_MIN) {
            state.done = true;
            continue;
        }
        w[j][threadIdx.x] = alpha * state.transmittance;
        state.transmittance = after;
    }
}

// Position in the image of the p-th pixel of a tile, p counted like threads of a block.
__device__ size_t pixel_offset(const TileLists& lists, int tile, int p, bool& inside) {
    const PixelOfThread pixel(lists, tile, p);
    inside = pixel.inside;
    return size_t(pixel.y) * lists.width + pixel.x;
}

// A thread owns 8 pixels x SLICE/8 channels of the product: pixels 4*lane + {0..3} and 128 more, the warp's channels.
template <int SLICE>
__global__ void __launch_bounds__(TILE_PIXELS)
feature_blend_kernel(TileLists lists, const float* features, int width, float* map) {
    __shared__ SplatBatch<BATCH> batch;
    __shared__ __align__(16) float w[BATCH][TILE_PIXELS];
    __shared__ __align__(16) float rows[BATCH][SLICE];
    constexpr int CHANNELS = SLICE / 8;
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.y * SLICE;
    const int2 range = lists.ranges[blockIdx.x];
    WeightState state;
    state.done = !pixel.inside;
    float sums[8][CHANNELS] = {};
    for (int start = range.x; start < range.y; start += BATCH) {
        if (__syncthreads_and(state.done)) break;
        const int size = min(BATCH, range.y - start);
        if (threadIdx.x < size) batch.load(threadIdx.x, lists, start + threadIdx.x);
        __syncthreads();
        for (int k = threadIdx.x; k < BATCH * SLICE; k += TILE_PIXELS) {
            const int j = k / SLICE, c = k % SLICE;
            rows[j][c] = j < size && first + c < width ? features[size_t(batch.id[j]) * width + first + c] : 0;
        }
        batch_weights(batch, size, pixel, state, w);
        __syncthreads();
        for (int j = 0; j < size; j++) {
            const float4 w0 = reinterpret_cast<const float4*>(w[j])[lane];
            const float4 w1 = reinterpret_cast<const float4*>(w[j])[32 + lane];
            const float ws[8] = {w0.x, w0.y, w0.z, w0.w, w1.x, w1.y, w1.z, w1.w};
#pragma unroll
            for (int q = 0; q < CHANNELS / 4; q++) {
                const float4 f = reinterpret_cast<const float4*>(rows[j] + CHANNELS * warp)[q];
#pragma unroll
                for (int p = 0; p < 8; p++) {
                    sums[p][4 * q] += ws[p] * f.x, sums[p][4 * q + 1] += ws[p] * f.y;
                    sums[p][4 * q + 2] += ws[p] * f.z, sums[p][4 * q + 3] += ws[p] * f.w;
                }
            }
        }
    }
    const size_t area = size_t(lists.width) * lists.height;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bool inside;  // four pixels that follow each other in a row
        const size_t at = pixel_offset(lists, blockIdx.x, half * 128 + 4 * lane, inside);
        const int x = at % lists.width, room = inside ? min(4, lists.width - x) : 0;
        const bool whole = room == 4 && lists.width % 4 == 0;
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) {
            const int channel = first + CHANNELS * warp + c;
            if (channel >= width) break;
            float* out = map + channel * area + at;
            if (whole)
                *reinterpret_cast<float4*>(out) =
                    make_float4(sums[4 * half][c], sums[4 * half + 1][c], sums[4 * half + 2][c], sums[4 * half + 3][c]);
            else
#pragma unroll
                for (int p = 0; p < 4; p++)
                    if (p < room) out[p] = sums[4 * half + p][c];
        }
    }
}

// A warp owns 4 Gaussians of the batch, a lane SLICE/32 channels: no sums across threads, one reduction per
// (Gaussian, channel, tile).
template <int SLICE>
__global__ void __launch_bounds__(TILE_PIXELS)
feature_gradient_kernel(TileLists lists, const float* g_map, int width, float* g_features) {
    extern __shared__ __align__(16) float shared[];
    float(*w)[TILE_PIXELS] = reinterpret_cast<float(*)[TILE_PIXELS]>(shared);
    float(*g)[SLICE] = reinterpret_cast<float(*)[SLICE]>(shared + BATCH * TILE_PIXELS);
    __shared__ SplatBatch<BATCH> batch;
    constexpr int PER_LANE = SLICE / 32;
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.y * SLICE;
    const int2 range = lists.ranges[blockIdx.x];
    if (range.x == range.y) return;
    const size_t area = size_t(lists.width) * lists.height;
    const size_t at = pixel.inside ? size_t(pixel.y) * lists.width + pixel.x : 0;
    for (int c = 0; c < SLICE; c++)  // column c of row p lies at c ^ (p % 32): stores and loads both miss no bank
        g[threadIdx.x][c ^ lane] = pixel.inside && first + c < width ? g_map[(first + c) * area + at] : 0;
    WeightState state;
    state.done = !pixel.inside;
    for (int start = range.x; start < range.y; start += BATCH) {
        if (__syncthreads_and(state.done)) break;
        const int size = min(BATCH, range.y - start);
        if (threadIdx.x < size) batch.load(threadIdx.x, lists, start + threadIdx.x);
        __syncthreads();
        batch_weights(batch, size, pixel, state, w);
        __syncthreads();
        float sums[4][PER_LANE] = {};
        for (int p = 0; p < TILE_PIXELS; p += 4) {
            float4 ws[4];
#pragma unroll
            for (int j = 0; j < 4; j++) ws[j] = *reinterpret_cast<const float4*>(&w[4 * warp + j][p]);
#pragma unroll
            for (int q = 0; q < 4; q++) {
#pragma unroll
                for (int c = 0; c < PER_LANE; c++) {
                    const float gradient = g[p + q][(lane + 32 * c) ^ ((p + q) & 31)];
#pragma unroll
                    for (int j = 0; j < 4; j++)
                        sums[j][c] += reinterpret_cast<const float*>(&ws[j])[q] * gradient;
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (4 * warp + j >= size) break;
            float* row = g_features + size_t(batch.id[4 * warp + j]) * width;
#pragma unroll
            for (int c = 0; c < PER_LANE; c++) {
                const int channel = first + 32 * c + lane;
                if (channel < width && sums[j][c] != 0) atomicAdd(row + channel, sums[j][c]);
            }
        }
    }
}

template <int SLICE>
void launch_gradient(const TileLists& lists, const float* g_map, int width, float* g_features, cudaStream_t stream) {
    constexpr int BYTES = (BATCH + SLICE) * TILE_PIXELS * sizeof(float);
    const auto kernel = feature_gradient_kernel<SLICE>;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
    const dim3 grid(lists.tiles_x * lists.tiles_y, blocks_for(width, SLICE));
    kernel<<<grid, TILE_PIXELS, BYTES, stream>>>(lists, g_map, width, g_features);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void launch_feature_blend(const TileLists& lists, const float* features, int feature_width, float* feature_map,
                          cudaStream_t stream) {
    const int slice = feature_width <= NARROW ? NARROW : WIDE;
    const auto kernel = slice == NARROW ? feature_blend_kernel<NARROW> : feature_blend_kernel<WIDE>;
    const dim3 grid(lists.tiles_x * lists.tiles_y, blocks_for(feature_width, slice));
    kernel<<<grid, TILE_PIXELS, 0, stream>>>(lists, features, feature_width, feature_map);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_feature_gradient(const TileLists& lists, const float* g_feature_map, int feature_width, float* g_features,
                             cudaStream_t stream) {
    const auto launch = feature_width <= NARROW ? launch_gradient<NARROW> : launch_gradient<WIDE>;
    launch(lists, g_feature_map, feature_width, g_features, stream);
}

}  // namespace ndr
