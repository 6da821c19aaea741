// Colour, depths and transmittance, front to back: a block a tile, a warp 8x4 pixels, a thread a pixel.
#include "cuda/common.cuh"

namespace ndr {
namespace {

__global__ void __launch_bounds__(TILE_PIXELS) blend_kernel(TileLists lists, Images out) {
    __shared__ SplatBatch<TILE_PIXELS> batch;
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const float px = pixel.x + 0.5f, py = pixel.y + 0.5f;
    const int lane = threadIdx.x % 32;
    const int2 range = lists.ranges[blockIdx.x];
    float transmittance = 1, r = 0, g = 0, b = 0, depth = 0, inverse_depth = 0;
    int median = -1;
    bool done = !pixel.inside;
    for (int start = range.x; start < range.y; start += TILE_PIXELS) {
        if (__syncthreads_and(done)) break;
        const int size = min(TILE_PIXELS, range.y - start);
        if (threadIdx.x < size) batch.load(threadIdx.x, lists, start + threadIdx.x);
        __syncthreads();
        for (int base = 0; base < size && !__all_sync(ALL_LANES, done); base += 32) {
            const bool near = base + lane < size && batch.touches_box(base + lane, pixel.box_x, pixel.box_y);
            for (unsigned hits = __ballot_sync(ALL_LANES, near); hits; hits &= hits - 1) {
                const int j = base + __ffs(hits) - 1;
                float gaussian, dx, dy;
                const float alpha = batch.alpha(j, px, py, gaussian, dx, dy);
                if (done || alpha == 0) continue;
                const float after = transmittance * (1 - alpha);
                if (after < TRANSMITTANCE_MIN) {
                    done = true;
                    continue;
                }
                const float w = alpha * transmittance;
                const float4 color = batch.color[j];
                r += w * color.x, g += w * color.y, b += w * color.z;
                depth += w * batch.depth[j].z, inverse_depth += w * color.w;
                if (median < 0 && after < MEDIAN_TRANSMITTANCE) median = batch.id[j];
                transmittance = after;
            }
        }
    }
    if (!pixel.inside) return;
    const size_t area = size_t(lists.width) * lists.height, at = size_t(pixel.y) * lists.width + pixel.x;
    out.color[at] = r, out.color[area + at] = g, out.color[2 * area + at] = b;
    out.depth[at] = depth, out.inverse_depth[at] = inverse_depth;
    out.transmittance[at] = transmittance, out.median_ids[at] = median;
}

}  // namespace

void launch_blend(const TileLists& lists, const Images& out, cudaStream_t stream) {
    blend_kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, out);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
