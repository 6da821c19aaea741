// Colour, depths and transmittance, front to back: a block a tile, a warp 8x4 pixels, a thread a pixel. Which list
// entries a warp met is noted for the backward pass; for features their weights are kept too.
#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {
namespace {

// PARTS: halves kept of every weight: none, the rounded weight, or also what rounding lost.
template <int PARTS>
__global__ void __launch_bounds__(TILE_PIXELS) blend_kernel(TileLists lists, Images out, Weights weights) {
    __shared__ SplatBatch<CHUNK> batch;
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const float px = pixel.x + 0.5f, py = pixel.y + 0.5f;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int2 range = lists.ranges[blockIdx.x];
    uint4* masks = weights.masks + first_chunk(range, blockIdx.x) * SUBTILES + warp;
    size_t row = first_row(range, warp) * 32 + pixel_row(lane);
    float transmittance = 1, r = 0, g = 0, b = 0, depth = 0, inverse_depth = 0;
    int median = -1, entry = 0, last = 0;  // entries met, and those up to the last that this pixel took
    bool done = !pixel.inside;
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
            const bool near = base + lane < size && batch.touches_box(base + lane, pixel.box_x, pixel.box_y);
            for (unsigned hits = __ballot_sync(ALL_LANES, near); hits; hits &= hits - 1) {
                const int j = base + __ffs(hits) - 1;
                float raw;
                const float alpha = alpha_at(batch.shape[j], batch.depth[j], px, py, raw);
                const float share = alpha * transmittance, after = transmittance - share;
                done |= after < TRANSMITTANCE_MIN;
                const bool takes = alpha > 0 && !done;
                if (!__any_sync(ALL_LANES, takes)) continue;
                mask[group] |= hits & -hits;
                entry++;
                const float w = takes ? share : 0;
                if constexpr (PARTS > 0) {
                    weights.rows[0][row] = high_half(w * WEIGHT_SCALE);
                    if constexpr (PARTS > 1) weights.rows[1][row] = low_half(w * WEIGHT_SCALE);
                    row += 32;
                }
                const float4 color = batch.color[j];
                r += w * color.x, g += w * color.y, b += w * color.z;
                depth += w * batch.depth[j].z, inverse_depth += w * color.w;
                if (takes && after < MEDIAN_TRANSMITTANCE && transmittance >= MEDIAN_TRANSMITTANCE) median = batch.id[j];
                if (takes) transmittance = after, last = entry;
            }
        }
        if (lane == 0) *masks = make_uint4(mask[0], mask[1], mask[2], mask[3]);
    }
    if (!pixel.inside) return;
    const size_t area = size_t(lists.width) * lists.height, at = size_t(pixel.y) * lists.width + pixel.x;
    out.color[at] = r, out.color[area + at] = g, out.color[2 * area + at] = b;
    out.depth[at] = depth, out.inverse_depth[at] = inverse_depth;
    out.transmittance[at] = transmittance, out.median_ids[at] = median, out.last_entries[at] = last;
}

}  // namespace

void launch_blend(const TileLists& lists, const Images& out, const Weights& weights, cudaStream_t stream) {
    const auto kernel = weights.rows[1] ? blend_kernel<2> : weights.rows[0] ? blend_kernel<1> : blend_kernel<0>;
    kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, out, weights);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
