// Gradients of splats. Front to back again, with totals: for a pixel whose outputs are sums of w_i * v_i,
//   Y_i = <gradient, v_i>,   dL/dalpha_i = T_i Y_i - (S - sum_{j<=i} w_j Y_j) / (1 - alpha_i),   S = sum_j w_j Y_j,
// and S comes from the forward's images. Channels meet only in Y, so features cost one number per pair here.
// A warp adds its 32 pixels by a butterfly that halves values and lanes together (13 shuffles for 12 sums), and then
// sends one coalesced reduction per Gaussian.
#include "cuda/common.cuh"

namespace ndr {
namespace {

constexpr int SUMS = sizeof(SplatGrad) / sizeof(float);
static_assert(SUMS == 12, "the butterfly is written for 12 values");
constexpr int CHANNELS = 32;  // feature channels staged at a time

// After the call, a lane with bit 0 clear holds the warp's total of value `index` (index 12 or more: nothing).
__device__ __forceinline__ float butterfly(const float v[SUMS], int lane, int& index) {
    float six[6], three[3], two[2];
    const bool up4 = lane & 16, up3 = lane & 8, up2 = lane & 4, up1 = lane & 2;
    for (int i = 0; i < 6; i++)
        six[i] = (up4 ? v[i + 6] : v[i]) + __shfl_xor_sync(ALL_LANES, up4 ? v[i] : v[i + 6], 16);
    for (int i = 0; i < 3; i++)
        three[i] = (up3 ? six[i + 3] : six[i]) + __shfl_xor_sync(ALL_LANES, up3 ? six[i] : six[i + 3], 8);
    two[0] = (up2 ? three[2] : three[0]) + __shfl_xor_sync(ALL_LANES, up2 ? three[0] : three[2], 4);
    two[1] = (up2 ? 0.0f : three[1]) + __shfl_xor_sync(ALL_LANES, up2 ? three[1] : 0.0f, 4);
    float one = (up1 ? two[1] : two[0]) + __shfl_xor_sync(ALL_LANES, up1 ? two[0] : two[1], 2);
    one += __shfl_xor_sync(ALL_LANES, one, 1);
    index = (up2 && up1) || (lane & 1) ? SUMS : 6 * up4 + 3 * up3 + 2 * up2 + up1;
    return one;
}

struct PixelGrads {
    float r = 0, g = 0, b = 0, depth = 0, inverse_depth = 0, alpha = 0;
    float remaining = 0;  // S minus the prefix

    __device__ PixelGrads(const ImageGrads& g_images, const Images& images, size_t at, size_t area) {
        if (g_images.color) {
            r = g_images.color[at], g = g_images.color[area + at], b = g_images.color[2 * area + at];
            remaining += r * images.color[at] + g * images.color[area + at] + b * images.color[2 * area + at];
        }
        if (g_images.depth) depth = g_images.depth[at], remaining += depth * images.depth[at];
        if (g_images.inverse_depth)
            inverse_depth = g_images.inverse_depth[at], remaining += inverse_depth * images.inverse_depth[at];
        if (g_images.alpha) alpha = g_images.alpha[at], remaining += alpha * (1 - images.transmittance[at]);
    }
    __device__ PixelGrads() {}
};

// Y of the feature map for a batch of 32 Gaussians at this thread's pixel, into shared memory [32][256].
__device__ void feature_products(const SplatBatch<32>& batch, int size, const float* features, int width,
                                 const float* g_map, bool inside, size_t at, size_t area,
                                 float (*stage)[32], float (*products)[TILE_PIXELS]) {
    float sums[32] = {};
    for (int first = 0; first < width; first += CHANNELS) {
        __syncthreads();
        for (int k = threadIdx.x; k < 32 * CHANNELS; k += TILE_PIXELS) {
            const int gaussian = k / CHANNELS, channel = k % CHANNELS;
            const bool exists = gaussian < size && first + channel < width;
            stage[channel][gaussian] = exists ? features[size_t(batch.id[gaussian]) * width + first + channel] : 0;
        }
        __syncthreads();
        const int channels = min(CHANNELS, width - first);
        for (int c = 0; c < channels; c++) {
            const float g = inside ? g_map[(first + c) * area + at] : 0.0f;
#pragma unroll
            for (int q = 0; q < 8; q++) {
                const float4 f = reinterpret_cast<const float4*>(stage[c])[q];
                sums[4 * q] += g * f.x, sums[4 * q + 1] += g * f.y, sums[4 * q + 2] += g * f.z, sums[4 * q + 3] += g * f.w;
            }
        }
    }
#pragma unroll
    for (int k = 0; k < 32; k++) products[k][threadIdx.x] = sums[k];  // read back by the same thread only
}

template <bool FEATURES>
__global__ void __launch_bounds__(TILE_PIXELS)
blend_backward_kernel(TileLists lists, Images images, const float* feature_map, ImageGrads g_images,
                      const float* features, int width, float* grads) {
    constexpr int BATCH = FEATURES ? 32 : TILE_PIXELS;
    __shared__ SplatBatch<BATCH> batch;
    __shared__ __align__(16) float stage[FEATURES ? CHANNELS : 1][32];
    __shared__ float products[FEATURES ? 32 : 1][TILE_PIXELS];
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const float px = pixel.x + 0.5f, py = pixel.y + 0.5f;
    const int lane = threadIdx.x % 32;
    const size_t area = size_t(lists.width) * lists.height;
    const size_t at = pixel.inside ? size_t(pixel.y) * lists.width + pixel.x : 0;
    PixelGrads g;
    if (pixel.inside) g = PixelGrads(g_images, images, at, area);
    if (FEATURES && pixel.inside)
        for (int c = 0; c < width; c++) g.remaining += g_images.features[c * area + at] * feature_map[c * area + at];
    const int2 range = lists.ranges[blockIdx.x];
    float transmittance = 1;
    bool done = !pixel.inside;
    for (int start = range.x; start < range.y; start += BATCH) {
        if (__syncthreads_and(done)) break;
        const int size = min(BATCH, range.y - start);
        if (threadIdx.x < size) batch.load(threadIdx.x, lists, start + threadIdx.x);
        __syncthreads();
        if constexpr (FEATURES)
            feature_products(batch, size, features, width, g_images.features, pixel.inside, at, area, stage, products);
        for (int base = 0; base < size && !__all_sync(ALL_LANES, done); base += 32) {
            const bool near = base + lane < size && batch.touches_box(base + lane, pixel.box_x, pixel.box_y);
            for (unsigned hits = __ballot_sync(ALL_LANES, near); hits; hits &= hits - 1) {
                const int j = base + __ffs(hits) - 1;
                float gaussian, dx, dy;
                float alpha = batch.alpha(j, px, py, gaussian, dx, dy);
                float after = transmittance * (1 - alpha);
                if (!done && alpha != 0 && after < TRANSMITTANCE_MIN) done = true;
                const bool counts = !done && alpha != 0;
                if (!__any_sync(ALL_LANES, counts)) continue;
                float v[SUMS] = {};
                if (counts) {
                    const float4 color = batch.color[j], shape = batch.shape[j], depth = batch.depth[j];
                    const float w = alpha * transmittance;
                    float y = g.r * color.x + g.g * color.y + g.b * color.z + g.depth * depth.z +
                              g.inverse_depth * color.w + g.alpha;
                    if constexpr (FEATURES) y += products[j][threadIdx.x];
                    g.remaining -= w * y;
                    const float g_alpha = transmittance * y - __fdividef(g.remaining, 1 - alpha);
                    const float g_power = depth.y * gaussian * g_alpha;  // the cap at ALPHA_MAX is straight-through
                    v[0] = -g_power * (shape.z * dx + shape.w * dy);
                    v[1] = -g_power * (depth.x * dy + shape.w * dx);
                    v[2] = -0.5f * g_power * dx * dx;
                    v[3] = -g_power * dx * dy;
                    v[4] = -0.5f * g_power * dy * dy;
                    v[5] = gaussian * g_alpha;
                    v[6] = w * (g.depth - g.inverse_depth * color.w * color.w);
                    v[7] = w * g.r, v[8] = w * g.g, v[9] = w * g.b;
                    v[10] = fabsf(v[0]), v[11] = fabsf(v[1]);
                    transmittance = after;
                }
                int index;
                const float total = butterfly(v, lane, index);
                if (index < SUMS) atomicAdd(grads + size_t(batch.id[j]) * SUMS + index, total);
            }
        }
    }
}

}  // namespace

void launch_blend_backward(const TileLists& lists, const Images& images, const float* feature_map,
                           const ImageGrads& g_images, const float* features, int feature_width, SplatGrad* grads,
                           cudaStream_t stream) {
    const int tiles = lists.tiles_x * lists.tiles_y;
    float* rows = reinterpret_cast<float*>(grads);
    if (g_images.features)
        blend_backward_kernel<true><<<tiles, TILE_PIXELS, 0, stream>>>(lists, images, feature_map, g_images, features,
                                                                     feature_width, rows);
    else
        blend_backward_kernel<false><<<tiles, TILE_PIXELS, 0, stream>>>(lists, images, nullptr, g_images, nullptr, 0, rows);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
