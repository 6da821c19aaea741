// The inner loops, compiled once per instruction set; `kernels()` picks the best one this processor has.
//
// This header is also seen by the translation units with wide instructions, so it holds nothing inline that the linker
// could share with the others (no standard containers).
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "shared/projection.h"

namespace ndr::cpu {

// Grow-only memory, aligned for the widest vectors; contents are lost when it grows.
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer();
    float* floats(size_t count) { return static_cast<float*>(bytes(count * sizeof(float))); }
    int* ints(size_t count) { return static_cast<int*>(bytes(count * sizeof(int))); }

  private:
    void* bytes(size_t size);
    void* data_ = nullptr;
    size_t size_ = 0;
};

// One per thread, reused from tile to tile.
struct Scratch {
    Buffer cull, local, list, positions, weights, folded, pair_gradients, panel, rows;
};

// A tile and its depth-sorted list.
struct TileTask {
    const Splat* splats;  // all
    const int32_t* ids;   // this tile's, front to back
    int count;
    int left, top;      // px
    int width, height;  // px, of the image
};

// Where a tile's pixels go: planes [channels, height, width].
struct ForwardImages {
    float *color, *depth, *inverse_depth, *transmittance;
    int32_t* median_ids;
    const float* features;  // [N, feature_width]
    int feature_width;      // 0: none
    float* feature_map;
};

// The forward's images and the gradients of the loss with respect to them (null: absent).
struct BackwardImages {
    const float *color, *depth, *inverse_depth, *transmittance, *feature_map;
    const float *g_color, *g_depth, *g_inverse_depth, *g_alpha, *g_feature_map;
    const float* features;
    int feature_width;
    bool feature_geometry;  // the feature gradient also reaches alpha
    bool geometry;          // anything but feature gradients is wanted
};

// A row of gradients per tile-list entry: SplatGrad padded to a cache line, with `opacity` still times the opacity.
constexpr int GRADIENT_ROW = 16;

// Where a tile's rows go; set, null: not wanted.
struct TileRows {
    float* splats;          // [count, GRADIENT_ROW]
    float* features;            // [count, feature_stride], in which channels are rounded up to 2 * lanes
    size_t feature_stride;
    const float* map_gradient;  // of the tile, as load_channel leaves it
};

// value = (1 - t) * source[low] + t * source[high]
struct Lerp {
    int low, high;
    float t;
};

constexpr int SAMPLE_CELL = 4;  // a side of the block of outputs of a sampled map that share a list

// A cell of a sampled map.
struct SampleTask {
    TileTask tile;                // its list
    const Lerp *columns, *rows;   // the sources of every output of the map
    int first_column, first_row;  // of the cell
    int map_columns, map_rows;
};

struct SampleImages {
    const float* features;  // [N, feature_width]
    int feature_width;
    float* map;          // [feature_width, map_rows, map_columns], or null
    const float* g_map;  // the same, or null
};

struct LiftImages {
    const float* teacher;  // [its pixels, stride]: a row of `channels` and zeros
    int channels, stride, teacher_columns;
    const Lerp *columns, *rows;  // the sources of every pixel of the image
};

// One band of rows of one plane of images.
struct SsimBand {
    const float *image, *target;  // planes [height, width]
    int width, height, first_row, last_row;
};

struct Kernels {
    const char* name;
    int lanes;
    void (*forward_tile)(const TileTask&, const ForwardImages&, Scratch&);
    void (*backward_tile)(const TileTask&, const BackwardImages&, const TileRows&, Scratch&);
    void (*sample_forward)(const SampleTask&, const SampleImages&, Scratch&);
    void (*sample_backward)(const SampleTask&, const SampleImages&, const TileRows&, Scratch&);
    void (*lift_tile)(const TileTask&, const LiftImages&, const TileRows&, Scratch&);
    // A channel of an image at a tile, for TileRows::map_gradient: 256 floats each, for whole multiples of 2 * lanes.
    void (*load_channel)(const TileTask&, const float* plane, int channel, float* tile);
    // Sum of the SSIM map over the band; partials: three planes, or null.
    double (*ssim_forward)(const SsimBand&, float* const partials[3], Scratch&);
    void (*ssim_backward)(const SsimBand&, const float* const partials[3], float scale, float* gradient, Scratch&);
};

const Kernels& kernels();

extern const Kernels generic_kernels;
#if defined(__x86_64__) && defined(__GNUC__)
#define NDR_X86 1
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif

}  // namespace ndr::cpu
