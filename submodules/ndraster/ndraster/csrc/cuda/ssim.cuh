// What ssim.cu offers to ssim_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

namespace ndr {

struct ImageShape {
    int planes, height, width;
};

// constant + ssim * (mean SSIM) + l1 * (mean absolute difference)
struct ImageScore {
    float constant, ssim, l1;
};

struct ScoreSums {  // scratch
    double ssim, difference;
    unsigned long long blocks_done;
};

// partials: [3, planes, height, width], derivatives of the SSIM map, or null.
void launch_image_score(const float* image, const float* target, const ImageShape&, const ImageScore&, float* partials,
                        ScoreSums*, float* score, cudaStream_t);
void launch_image_score_backward(const float* image, const float* target, const float* partials, const float* gradient,
                                 const ImageShape&, const ImageScore&, float* g_image, cudaStream_t);

}  // namespace ndr
