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
    Buffer cull, local, list, counts, weights, pair_gradients, panel, transposed, sums, rows;
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

// One band of rows of one plane of images.
struct SsimBand {
    const float *image, *target;  // planes [height, width]
    int width, height, first_row, last_row;
};

struct Kernels {
    const char* name;
    int lanes;
    void (*forward_tile)(const TileTask&, const ForwardImages&, Scratch&);
    // splat_gradients [count, GRADIENT_ROW] or null; feature_gradients [count, feature_stride] or null. Both are set.
    void (*backward_tile)(const TileTask&, const BackwardImages&, float* splat_gradients, float* feature_gradients,
                          size_t feature_stride, Scratch&);
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
