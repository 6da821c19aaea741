// Small things every CUDA source uses.
#pragma once
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>

#include "cuda/kernels.h"
#include "shared/projection.h"

namespace ndr {

constexpr int TILE_PIXELS = TILE * TILE;  // also threads of a blending block
constexpr unsigned ALL_LANES = 0xffffffffu;

inline int blocks_for(int64_t items, int threads) { return static_cast<int>((items + threads - 1) / threads); }

// Stream-ordered scratch memory from torch's allocator, freed at scope end.
struct Scratch {
    explicit Scratch(size_t bytes) : data(c10::cuda::CUDACachingAllocator::get()->allocate(bytes)) {}
    template <typename T>
    T* as() const {
        return static_cast<T*>(data.get());
    }
    c10::DataPtr data;
};

// A tile's 256 threads as eight warps, each on 8x4 pixels, so that a warp can skip Gaussians that miss its box.
struct PixelOfThread {
    int x, y;          // px
    int box_x, box_y;  // first pixel of the warp's box
    bool inside;
    __device__ PixelOfThread(const TileLists& lists, int tile, int thread) {
        const int warp = thread / 32, lane = thread % 32;
        box_x = (tile % lists.tiles_x) * TILE + (warp % 2) * 8;
        box_y = (tile / lists.tiles_x) * TILE + (warp / 2) * 4;
        x = box_x + lane % 8, y = box_y + lane / 8;
        inside = x < lists.width && y < lists.height;
    }
};

// Alpha of a splat at a pixel offset, 0 where it does not exist; `gaussian` is the uncapped exponential.
__device__ __forceinline__ float splat_alpha(float dx, float dy, float xx, float xy, float yy, float opacity,
                                             float& gaussian) {
    const float power = -0.5f * (xx * dx * dx + yy * dy * dy) - xy * dx * dy;
    gaussian = __expf(power);
    const float alpha = fminf(ALPHA_MAX, opacity * gaussian);
    return power <= 0 && alpha >= ALPHA_MIN ? alpha : 0.0f;
}

// A batch of splats in shared memory, as 16-byte columns.
template <int SIZE>
struct SplatBatch {
    float4 shape[SIZE];   // x y conic_xx conic_xy
    float4 depth[SIZE];   // conic_yy opacity z reach2
    float4 color[SIZE];   // r g b 1/z
    int id[SIZE];

    __device__ void load(int slot, const TileLists& lists, int position) {
        const int g = lists.ids[position];
        const float4* row = reinterpret_cast<const float4*>(lists.splats + g);
        shape[slot] = row[0], depth[slot] = row[1], color[slot] = row[2], id[slot] = g;
    }
    __device__ bool touches_box(int slot, int box_x, int box_y) const {
        Splat s;
        s.x = shape[slot].x, s.y = shape[slot].y, s.conic_xx = shape[slot].z, s.conic_xy = shape[slot].w;
        s.conic_yy = depth[slot].x, s.reach2 = depth[slot].w;
        return touches(s, box_x, box_y, 8, 4);
    }
    __device__ float alpha(int slot, float px, float py, float& gaussian, float& dx, float& dy) const {
        const float4 a = shape[slot], b = depth[slot];
        dx = a.x - px, dy = a.y - py;
        return splat_alpha(dx, dy, a.z, a.w, b.x, b.y, gaussian);
    }
};

}  // namespace ndr
