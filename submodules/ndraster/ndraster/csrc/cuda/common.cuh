// Small things every CUDA source uses.
#pragma once
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>

#include "cuda/kernels.h"
#include "shared/projection.h"

namespace ndr {

constexpr int TILE_PIXELS = TILE * TILE;  // also threads of a blending block
constexpr unsigned ALL_LANES = 0xffffffffu;
static_assert(SUBTILES * 32 == TILE_PIXELS);
constexpr float WEIGHT_SCALE = 4096;        // of weights kept as halves: the faintest, 4e-7, stay normal numbers

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

// What alpha needs of a splat, with everything folded into one base-2 exponential:
// opacity * exp(-0.5 d^2) = exp2(xx dx^2 + xy dx dy + yy dy^2 + log2_opacity).
struct AlphaTerms {
    float4 shape;  // x y xx xy
    float4 depth;  // yy log2_opacity z reach2
};

constexpr float LOG2_E = 1.44269504f;

__device__ __forceinline__ AlphaTerms alpha_terms(float4 first, float4 second) {  // of struct Splat's two first columns
    return {make_float4(first.x, first.y, -0.5f * LOG2_E * first.z, -LOG2_E * first.w),
            make_float4(-0.5f * LOG2_E * second.x, __log2f(second.y), second.z, second.w)};
}

// The conic (xx, xy, yy) again.
__device__ __forceinline__ float3 conic_of(float4 shape, float4 depth) {
    return make_float3(shape.z * (-2 / LOG2_E), shape.w * (-1 / LOG2_E), depth.x * (-2 / LOG2_E));
}

// Alpha at a pixel, 0 where the splat does not exist; `raw` is the value without the cap.
__device__ __forceinline__ float alpha_at(float4 shape, float4 depth, float px, float py, float& raw) {
    const float dx = shape.x - px, dy = shape.y - py;
    const float power = (shape.z * dx + shape.w * dy) * dx + depth.x * dy * dy;
    raw = exp2f(power + depth.y);
    return power <= 0 && raw >= ALPHA_MIN ? fminf(ALPHA_MAX, raw) : 0.0f;
}

// A batch of splats in shared memory, as 16-byte columns.
template <int SIZE>
struct SplatBatch {
    float4 shape[SIZE], depth[SIZE];  // struct AlphaTerms
    float4 color[SIZE];               // r g b 1/z
    int id[SIZE];

    __device__ void load(int slot, const TileLists& lists, int position) {
        const int g = lists.ids[position];
        const float4* row = reinterpret_cast<const float4*>(lists.splats + g);
        const AlphaTerms terms = alpha_terms(row[0], row[1]);
        shape[slot] = terms.shape, depth[slot] = terms.depth, color[slot] = row[2], id[slot] = g;
    }
    __device__ bool touches_box(int slot, int box_x, int box_y, int width = 8, int height = 4) const {
        const float3 conic = conic_of(shape[slot], depth[slot]);
        Splat s;
        s.x = shape[slot].x, s.y = shape[slot].y, s.reach2 = depth[slot].w;
        s.conic_xx = conic.x, s.conic_xy = conic.y, s.conic_yy = conic.z;
        return touches(s, box_x, box_y, width, height);
    }
};

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int step = 16; step; step /= 2) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}

__device__ __forceinline__ void add4(float* to, float4 v) {
#if __CUDA_ARCH__ >= 900
    atomicAdd(reinterpret_cast<float4*>(to), v);
#else
    atomicAdd(to, v.x), atomicAdd(to + 1, v.y), atomicAdd(to + 2, v.z), atomicAdd(to + 3, v.w);
#endif
}

// Where the chunks and rows of Weights lie. Every tile has room for its whole list, and positions need no prefix sum.
__device__ __forceinline__ size_t first_chunk(int2 range, int tile) { return range.x / CHUNK + tile; }
__device__ __forceinline__ size_t first_row(int2 range, int warp) {
    return size_t(range.x) * SUBTILES + size_t(range.y - range.x) * warp;
}

__device__ __forceinline__ int count_bits(uint4 mask) {
    return __popc(mask.x) + __popc(mask.y) + __popc(mask.z) + __popc(mask.w);
}

// A warp writes the positions of the bits of a chunk's mask in ascending order; returns how many there are.
__device__ __forceinline__ int expand_mask(uint4 mask, int lane, uint8_t* positions) {
    const unsigned words[4] = {mask.x, mask.y, mask.z, mask.w};
    int before = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (words[i] >> lane & 1) positions[before + __popc(words[i] & ((1u << lane) - 1))] = 32 * i + lane;
        before += __popc(words[i]);
    }
    return before;
}

}  // namespace ndr
