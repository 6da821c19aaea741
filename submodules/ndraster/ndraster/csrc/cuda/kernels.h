// What the CUDA sources offer to bindings.cpp: launchers on raw device pointers and the current stream.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "shared/camera.h"

namespace ndr {

struct Splat;
struct SplatGrad;

struct Parameters {       // device pointers; sh or colors is null, features may be
    const float* means;      // [N, 3]
    const float* quats;      // [N, 4]
    const float* scales;     // [N, 3]
    const float* opacities;  // [N]
    const float* sh;         // [N, sh_stride, 3]
    const float* colors;     // [N, 3]
    const float* features;   // [N, width]
    int count;               // N
    int sh_stride;           // K
    int feature_width;       // D
};

struct ParameterGrads {   // written whole
    float *means, *quats, *scales, *opacities;
    float *sh, *colors;      // the one that Parameters has
    float* probe;            // [N, 4]
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
};

struct ImageGrads {       // any may be null
    const float *color, *depth, *inverse_depth, *alpha, *features;
};

// projection.cu. depth_keys: float bits of z, all ones when not visible.
void launch_project(const Camera&, const Parameters&, Splat*, int* radii, float* means2d, uint32_t* depth_keys,
                    cudaStream_t);
void launch_project_backward(const Camera&, const Parameters&, const Splat*, const SplatGrad*, const ParameterGrads&,
                             cudaStream_t);

// binning.cu. count_instances sorts by depth and returns M (the one host-device synchronisation);
// order [N], offsets [N] are filled for fill_lists.
int64_t count_instances(const Splat*, const uint32_t* depth_keys, int count, int tiles_x, int tiles_y, int* order,
                        int64_t* offsets, cudaStream_t);
void fill_lists(const Splat*, const uint32_t* depth_keys, const int* order, const int64_t* offsets, int count,
                int64_t instances, int tiles_x, int tiles_y, int* ids, int2* ranges, cudaStream_t);

// blend.cu, blend_backward.cu
void launch_blend(const TileLists&, const Images&, cudaStream_t);
void launch_blend_backward(const TileLists&, const Images&, const float* feature_map, const ImageGrads&,
                           const float* features, int feature_width, SplatGrad*, cudaStream_t);

// features.cu
void launch_feature_blend(const TileLists&, const float* features, int feature_width, float* feature_map,
                          cudaStream_t);
void launch_feature_gradient(const TileLists&, const float* g_feature_map, int feature_width, float* g_features,
                             cudaStream_t);

// ssim.cu
void launch_ssim_forward(const float* image, const float* target, int planes, int height, int width, float* partials,
                         double* sum, cudaStream_t);
void launch_ssim_backward(const float* image, const float* target, const float* partials, const float* gradient,
                          int planes, int height, int width, float* g_image, cudaStream_t);

}  // namespace ndr
