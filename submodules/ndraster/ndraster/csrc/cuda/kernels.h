// What the CUDA sources offer to bindings.cpp: launchers on raw device pointers and the current stream.
#pragma once
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>

#include "cuda/camera_ref.cuh"
#include "shared/camera.h"
#include "shared/resample.h"

namespace ndr {

struct Splat;
struct SplatGrad;

constexpr int SUBTILES = 8;  // warps of a block that blends a tile, each on 8x4 pixels
constexpr int CHUNK = 128;   // list entries that a block has in shared memory
constexpr int DOT_GROUP = 32;  // met entries of a chunk whose products share a scale
inline int64_t count_chunks(int64_t instances, int64_t tiles) { return instances / CHUNK + tiles; }

struct Parameters {       // device pointers; sh or colors is null, features may be
    const float* means;      // [N, 3]
    const float* quats;      // [N, 4]
    const float* scales;     // [N, 3]
    const float* opacities;  // [N]
    const float* colors;     // [N, 3]
    const float* features;   // [N, width]
    int count;               // N
    int feature_width;       // D
};

// Contributions to Gaussians, each in a place of its own.
struct Slots {
    const float* values;   // [M, rows, columns]
    int rows, columns;
    const int* ids;        // [M] ascending
    const int* positions;  // [M] the first index of `values` for each
};

// What is handed back to Gaussians: a gradient per pixel, or a smaller map that pixels read bilinearly.
struct GradientMap {
    const float* values;     // [rows, columns, width]
    int width;               // channels
    int rows, columns;       // 0: the map has the size of the image
    Axis across, down;       // which column and row a pixel reads

    static GradientMap of_pixels(const float* values, int width) { return {values, width, 0, 0, {}, {}}; }
    bool is_read() const { return rows > 0; }
};

// Where dF goes: [N, stride] added to; or with slots [M, stride] for one slice of channels, zeroed before.
struct GradientRows {
    float* rows;
    int stride;  // floats, a multiple of 4
    bool slots;
    int slice;
};

struct ParameterGrads {   // written whole
    float *means, *quats, *scales, *opacities;
    float* colors;           // [N, 3], may be null
    float* probe;            // [N, 4]
};

struct PixelBox {         // px
    int x, y, width, height;
};

// What the lists are of: the pixels of an image, or the samples of a smaller map that bilinearly reads the image.
// A tile holds 16x16 of them.
struct TileGrid {
    int columns, rows;         // samples
    int width, height;         // px of the image
    Axis across, down;         // which pixel a sample reads
    bool bilinear;             // false: samples are the pixels

    static TileGrid of_pixels(int width, int height) { return {width, height, width, height, {0, 1}, {0, 1}, false}; }
    NDR_HD int tiles_x() const { return (columns + 15) / 16; }
    NDR_HD int tiles_y() const { return (rows + 15) / 16; }
    // The pixels that `across` x `down` samples from (column, row) read.
    NDR_HD PixelBox box(int column, int row, int across, int down) const {
        const int x0 = int(this->across.at(column, width)), x1 = last(column, across, columns, this->across, width);
        const int y0 = int(this->down.at(row, height)), y1 = last(row, down, rows, this->down, height);
        return {x0, y0, x1 - x0 + 1, y1 - y0 + 1};
    }
    // Tiles [from, to) along an axis of `pixels` that may read between two positions (px).
    NDR_HD void tiles_between(float low, float high, Axis axis, int pixels, int tiles, int& from, int& to) const {
        const float size = 16 * (axis.step > 1e-6f ? axis.step : 1e-6f);
        const float before = bilinear ? 1.5f + 15 * axis.step : 0, after = bilinear ? 1 : 0;
        from = within((low - axis.start - before) / size, tiles), to = within((high - axis.start + after) / size + 1, tiles);
        if (bilinear && low < 2) from = 0;               // samples outside the image read its border
        if (bilinear && high > pixels - 2) to = tiles;
    }

  private:
    NDR_HD int last(int i, int count, int samples, Axis axis, int size) const {
        const int end = i + count - 1 < samples - 1 ? i + count - 1 : samples - 1, x = int(axis.at(end, size)) + bilinear;
        return x < size - 1 ? x : size - 1;
    }
    NDR_HD static int within(float tile, int tiles) {
        const float low = floorf(tile);
        return low > 0 ? (low < tiles ? int(low) : tiles) : 0;
    }
};

struct TileLists {
    const Splat* splats;     // [N]
    const int* ids;          // [M] Gaussian ids, tile after tile, each in depth order
    const int2* ranges;      // [tiles] first and one past the last
    int tiles_x, tiles_y;
    int width, height;       // px
};

struct Images {           // planar, [channels, H, W]
    float *color, *depth, *inverse_depth, *transmittance;
    int* median_ids;
    int* last_entries;    // how many of the entries that its warp met a pixel went through
};

struct ImageGrads {       // any may be null
    const float *color, *depth, *inverse_depth, *alpha;
};

// Blending weights of a tile's pixels, kept for what follows. A tile's list is worked on in chunks of CHUNK entries and
// by SUBTILES warps; masks[chunk, warp] says which entries met one of the warp's 32 pixels. Each such (entry, warp) has
// a row of 32 weights in the order of `pixel_row`, scaled by WEIGHT_SCALE. common.cuh finds chunks and rows.
struct Weights {
    uint4* masks;     // [chunks, SUBTILES], zeroed before the forward
    __half* rows[2];  // [SUBTILES M, 32] the weights, and what rounding them lost; null when not kept
};

// Products <gradient of the map at a pixel, feature> of every weight, in rows like those of Weights but in pixel order.
struct FeatureDots {
    __half* rows;       // [SUBTILES M, 32], relative to `scales`; or null, and then
    float* exact_rows;  // the same in float
    float* scales;      // [chunks, SUBTILES, CHUNK / DOT_GROUP]; null: no feature gradient
};

// Features as the matrix units take them: halves of value * scale, channels padded and in the order of channel_column.
struct PackedFeatures {
    __half* rows[2];  // [N, padded] values, and what rounding them lost (or null)
    float* scale;     // on the device
    int padded;       // channels, a multiple of the slice
    int width;        // channels there are
};

// The gradient of a feature map, per tile and slice of channels, as fragments of [256 pixels x slice].
struct PackedGradient {
    __half* fragments[2];  // [tiles, slices, SUBTILES, slice / 16, 32 lanes, 16]; null when not kept
    float* scales;         // [tiles, slices]
};

// projection.cu. depth_keys: float bits of z, all ones when not visible; indices: 0, 1, ... for the sort.
void launch_project(const CameraRef&, const Parameters&, Splat*, int* radii, float* means2d, uint32_t* depth_keys,
                    int* indices, cudaStream_t);
void launch_project_backward(const CameraRef&, const Parameters&, const Splat*, const SplatGrad*,
                             const ParameterGrads&, cudaStream_t);

// binning.cu. count_instances sorts by depth (order [N]) and counts pairs: offsets [N] are inclusive sums that stop
// at INT_MAX. fill_lists takes the last of them as `total`, writes at most `capacity` ids and drops the deepest
// beyond. touched: [N, TOUCHED_BYTES] from the one for the other. Neither waits for the device.
constexpr int TOUCHED_BYTES = 12;
void count_instances(const Splat*, const uint32_t* depth_keys, const int* indices, int count, const TileGrid&,
                     int* order, int* offsets, void* touched, cudaStream_t);
void fill_lists(const Splat*, const int* order, const int* offsets, const void* touched, const int* total, int count,
                int capacity, const TileGrid&, int* ids, int2* ranges, cudaStream_t);

// blend.cu, blend_backward.cu. grads: [N, 12] zeroed, or with slots [M, SUBTILES, 12], rows of met entries written.
void launch_blend(const TileLists&, const Images&, const Weights&, cudaStream_t);
void launch_blend_backward(const TileLists&, const float* transmittance, const int* last_entries, const ImageGrads&,
                           const Weights&, const FeatureDots&, float* grads, bool slots, cudaStream_t);

// pack.cu
int slice_of(int feature_width);  // channels that a block of the products handles
void launch_pack(const float* features, int64_t count, const PackedFeatures&, cudaStream_t);

// product.cu: map = W F, product_gradient.cu: dF = W^T G, product_dots.cu: Y = <G, F> where W is.
void launch_product(const TileLists&, const Weights&, const PackedFeatures&, float* map, cudaStream_t);
void launch_gradient(const TileLists&, const Weights&, const GradientMap&, const PackedGradient& kept,
                     const GradientRows&, cudaStream_t);
void launch_dots(const TileLists&, const Weights&, const PackedFeatures&, const PackedGradient&, const FeatureDots&,
                 cudaStream_t);

// products_simt.cu: the same in float without matrix units; weights need both parts.
void launch_product_simt(const TileLists&, const Weights&, const float* features, int width, float* map, cudaStream_t);
void launch_gradient_simt(const TileLists&, const Weights&, const float* g_map, int width, float* out, int stride,
                          cudaStream_t);
void launch_dots_simt(const TileLists&, const Weights&, const float* features, int width, const float* g_map,
                      float* rows, cudaStream_t);

// sample_weights.cu: rows of every sample of a bilinear grid; sums [N] += the weights of every Gaussian.
void launch_sample_weights(const TileLists&, const TileGrid&, const Weights&, cudaStream_t);
void launch_sum_weights(const TileLists&, const Weights&, float* sums, cudaStream_t);

// slots.cu: order [instances] list positions by Gaussian, then sum their slots: out [count, stride] written.
void launch_order_slots(const int* ids, int instances, int count, int* sorted_ids, int* positions, cudaStream_t);
void launch_sum_slots(const Slots&, int instances, int count, float* out, int stride, int columns, cudaStream_t);

}  // namespace ndr
