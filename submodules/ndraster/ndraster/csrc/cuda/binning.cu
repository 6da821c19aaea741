// Lists of Gaussians per tile, in depth order: sort Gaussians by depth, emit (tile, id) in that order, then sort stably by
// tile. The second sort moves few bits, and depth never travels with the pairs.
#include <cub/cub.cuh>

#include "cuda/common.cuh"

namespace ndr {
namespace {

constexpr int WARPS = 8;  // a warp works on one Gaussian

struct TileRect {
    int x0, y0, x1, y1;
    __device__ TileRect(const Splat& s, int tiles_x, int tiles_y) {
        const float det = s.conic_xx * s.conic_yy - s.conic_xy * s.conic_xy;
        const float half_x = sqrtf(s.reach2 * s.conic_yy / det), half_y = sqrtf(s.reach2 * s.conic_xx / det);
        x0 = clamp_tile(floorf((s.x - half_x) / TILE), tiles_x), x1 = clamp_tile(floorf((s.x + half_x) / TILE) + 1, tiles_x);
        y0 = clamp_tile(floorf((s.y - half_y) / TILE), tiles_y), y1 = clamp_tile(floorf((s.y + half_y) / TILE) + 1, tiles_y);
    }
    __device__ static int clamp_tile(float v, int tiles) { return int(fminf(fmaxf(v, 0.0f), float(tiles))); }
    __device__ int count() const { return (x1 - x0) * (y1 - y0); }
};

// Calls found(rank, tile) on each lane whose tile is touched; returns how many were.
template <typename Found>
__device__ int64_t for_each_tile(const Splat& s, int tiles_x, int tiles_y, Found found) {
    const TileRect rect(s, tiles_x, tiles_y);
    const int lane = threadIdx.x % 32, width = rect.x1 - rect.x0, total = rect.count();
    int64_t before = 0;
    for (int base = 0; base < total; base += 32) {
        const int k = base + lane;
        const int tx = rect.x0 + (width > 0 ? k % width : 0), ty = rect.y0 + (width > 0 ? k / width : 0);
        const bool hit = k < total && touches(s, tx * TILE, ty * TILE, TILE, TILE);
        const unsigned hits = __ballot_sync(ALL_LANES, hit);
        if (hit) found(before + __popc(hits & ((1u << lane) - 1)), ty * tiles_x + tx);
        before += __popc(hits);
    }
    return before;
}

__global__ void count_kernel(const Splat* splats, const uint32_t* sorted_keys, const int* order, int count,
                             int tiles_x, int tiles_y, int64_t* counts) {
    const int rank = blockIdx.x * WARPS + threadIdx.x / 32;
    if (rank >= count) return;
    int64_t tiles = 0;
    if (sorted_keys[rank] != 0xffffffffu)
        tiles = for_each_tile(splats[order[rank]], tiles_x, tiles_y, [](int64_t, int) {});
    if (threadIdx.x % 32 == 0) counts[rank] = tiles;
}

__global__ void emit_kernel(const Splat* splats, const uint32_t* depth_keys, const int* order,
                            const int64_t* inclusive, int count, int tiles_x, int tiles_y, uint32_t* tile_keys,
                            int* ids) {
    const int rank = blockIdx.x * WARPS + threadIdx.x / 32;
    if (rank >= count) return;
    const int g = order[rank];
    if (depth_keys[g] == 0xffffffffu) return;
    const int64_t start = rank == 0 ? 0 : inclusive[rank - 1];
    for_each_tile(splats[g], tiles_x, tiles_y, [=](int64_t k, int tile) {
        tile_keys[start + k] = tile;
        ids[start + k] = g;
    });
}

__global__ void iota_kernel(int* out, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = i;
}

__global__ void range_kernel(const uint32_t* tile_keys, int64_t instances, int2* ranges) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= instances) return;
    const uint32_t tile = tile_keys[i];
    if (i == 0 || tile_keys[i - 1] != tile) ranges[tile].x = int(i);
    if (i == instances - 1 || tile_keys[i + 1] != tile) ranges[tile].y = int(i + 1);
}

template <typename Value>
void sort_pairs(const uint32_t* keys, uint32_t* sorted_keys, const Value* values, Value* sorted, int64_t count,
                int bits, cudaStream_t stream) {
    size_t bytes = 0;
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, sorted_keys, values, sorted, count, 0, bits, stream));
    const Scratch scratch(bytes);
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(scratch.as<void>(), bytes, keys, sorted_keys, values, sorted,
                                                  count, 0, bits, stream));
}

}  // namespace

int64_t count_instances(const Splat* splats, const uint32_t* depth_keys, int count, int tiles_x, int tiles_y,
                        int* order, int64_t* offsets, cudaStream_t stream) {
    if (count == 0) return 0;
    const Scratch sorted_keys(sizeof(uint32_t) * count), unsorted(sizeof(int) * count), counts(sizeof(int64_t) * count);
    iota_kernel<<<blocks_for(count, 256), 256, 0, stream>>>(unsorted.as<int>(), count);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    sort_pairs(depth_keys, sorted_keys.as<uint32_t>(), unsorted.as<int>(), order, count, 32, stream);
    count_kernel<<<blocks_for(count, WARPS), WARPS * 32, 0, stream>>>(splats, sorted_keys.as<uint32_t>(), order, count,
                                                                    tiles_x, tiles_y, counts.as<int64_t>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    size_t bytes = 0;
    C10_CUDA_CHECK(cub::DeviceScan::InclusiveSum(nullptr, bytes, counts.as<int64_t>(), offsets, count, stream));
    const Scratch scan(bytes);
    C10_CUDA_CHECK(cub::DeviceScan::InclusiveSum(scan.as<void>(), bytes, counts.as<int64_t>(), offsets, count, stream));
    int64_t total = 0;
    C10_CUDA_CHECK(cudaMemcpyAsync(&total, offsets + count - 1, sizeof(total), cudaMemcpyDeviceToHost, stream));
    C10_CUDA_CHECK(cudaStreamSynchronize(stream));  // sizes the lists; the only wait
    return total;
}

void fill_lists(const Splat* splats, const uint32_t* depth_keys, const int* order, const int64_t* offsets, int count,
                int64_t instances, int tiles_x, int tiles_y, int* ids, int2* ranges, cudaStream_t stream) {
    C10_CUDA_CHECK(cudaMemsetAsync(ranges, 0, sizeof(int2) * tiles_x * tiles_y, stream));
    if (instances == 0) return;
    const Scratch keys(sizeof(uint32_t) * instances), sorted_keys(sizeof(uint32_t) * instances);
    const Scratch unsorted(sizeof(int) * instances);
    emit_kernel<<<blocks_for(count, WARPS), WARPS * 32, 0, stream>>>(splats, depth_keys, order, offsets, count, tiles_x,
                                                                   tiles_y, keys.as<uint32_t>(), unsorted.as<int>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    int bits = 1;
    while ((int64_t(1) << bits) < int64_t(tiles_x) * tiles_y) bits++;
    sort_pairs(keys.as<uint32_t>(), sorted_keys.as<uint32_t>(), unsorted.as<int>(), ids, instances, bits, stream);
    range_kernel<<<blocks_for(instances, 256), 256, 0, stream>>>(sorted_keys.as<uint32_t>(), instances, ranges);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
