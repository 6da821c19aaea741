// What the three products of features share.
#pragma once
#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {

constexpr int PAD = 8;  // halves after each shared row: 16 bytes more than a multiple of 128, so that 8 rows miss no bank

// c += A B for two neighbouring column blocks; with two parts (high, low) the product of what rounding lost is left out.
template <int PARTS, int BLOCKS>
__device__ __forceinline__ void multiply_parts(float (&c0)[4], float (&c1)[4], const uint32_t (&a)[PARTS][BLOCKS][4], int m,
                                               const uint32_t (&b)[PARTS][4]) {
    multiply_add(c0, a[0][m], b[0][0], b[0][1]);
    multiply_add(c1, a[0][m], b[0][2], b[0][3]);
    if constexpr (PARTS == 2) {
        multiply_add(c0, a[1][m], b[0][0], b[0][1]);
        multiply_add(c1, a[1][m], b[0][2], b[0][3]);
        multiply_add(c0, a[0][m], b[1][0], b[1][1]);
        multiply_add(c1, a[0][m], b[1][2], b[1][3]);
    }
}

// Starts copying the slice of the packed features that `size` list entries name; the block does it together.
template <int SLICE, int PARTS>
__device__ void copy_rows(const TileLists& lists, const PackedFeatures& features, int start, int size, int first,
                          __half (*to)[CHUNK][SLICE + PAD]) {
    constexpr int PIECES = SLICE / 8;  // of 16 bytes
    for (int i = threadIdx.x; i < size * PIECES; i += TILE_PIXELS) {
        const int k = i / PIECES, piece = i % PIECES * 8;
        const size_t from = size_t(lists.ids[start + k]) * features.padded + first + piece;
#pragma unroll
        for (int part = 0; part < PARTS; part++) copy16(&to[part][k][piece], features.rows[part] + from, true);
    }
}

// The four neighbouring pixels 4g .. 4g+3 of a warp that lane (g, t) holds, in maps [H, W, channels].
struct PixelQuad {
    size_t at;  // of the first pixel, in pixels
    int room;   // of the four, how many are in the image
    int width;  // channels
    __device__ PixelQuad(const TileLists& lists, int tile, int warp, int lane, int width) : width(width) {
        const int g = lane / 4;
        const int x = (tile % lists.tiles_x) * TILE + warp % 2 * 8 + g % 2 * 4;
        const int y = (tile / lists.tiles_x) * TILE + warp / 2 * 4 + g / 2;
        room = y < lists.height ? min(4, max(0, lists.width - x)) : 0;
        at = size_t(y) * lists.width + x;
    }
    // Channels `channel` to `channel` + 3 of the m-th pixel.
    __device__ void write(float* map, int m, int channel, float4 v) const {
        if (m >= room || channel >= width) return;
        float* to = map + (at + m) * width + channel;
        if (width % 4 == 0) {
            __stcs(reinterpret_cast<float4*>(to), v);
            return;
        }
        to[0] = v.x;
        if (channel + 1 < width) to[1] = v.y;
        if (channel + 2 < width) to[2] = v.z;
        if (channel + 3 < width) to[3] = v.w;
    }
    __device__ float4 read(const float* map, int m, int channel) const {
        return m < room ? read4(map + (at + m) * width, channel) : float4{0, 0, 0, 0};
    }
    // Asks the L2 cache for channels `first` to `first` + `count` of the m-th pixel, which will be read soon.
    __device__ void prefetch(const float* map, int first, int count, int m) const {
        if (m >= room) return;
        for (int channel = first; channel < min(first + count, width); channel += 32)
            asm volatile("prefetch.global.L2 [%0];" ::"l"(map + (at + m) * width + channel));
    }
    // Channels `channel` to `channel` + 3 of a row of `width`; zeros beyond.
    __device__ float4 read4(const float* row, int channel) const {
        if (channel >= width) return {0, 0, 0, 0};
        if (width % 4 == 0) return __ldcs(reinterpret_cast<const float4*>(row + channel));
        return {row[channel], channel + 1 < width ? row[channel + 1] : 0, channel + 2 < width ? row[channel + 2] : 0,
                channel + 3 < width ? row[channel + 3] : 0};
    }
};

}  // namespace ndr
