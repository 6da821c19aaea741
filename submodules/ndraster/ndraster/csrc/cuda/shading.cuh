// Colours from spherical harmonics: what shading.cu offers to shading_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include "cuda/camera_ref.cuh"

namespace ndr {

// K coefficients a Gaussian, in one tensor [N, K, 3] (then rest_size is 0) or in two, [N, 1, 3] and [N, K - 1, 3].
template <typename Value>
struct Coefficients {
    Value *first, *rest;
    int first_size, rest_size;  // values of one Gaussian
};

void launch_shade(const CameraRef&, const float* means, const Coefficients<const float>&, int count, float* colors,
                  cudaStream_t);
// colors: the forward's. All gradients are written whole.
void launch_shade_backward(const CameraRef&, const float* means, const Coefficients<const float>&, const float* colors,
                           const float* g_colors, int count, float* g_means, const Coefficients<float>& gradients,
                           cudaStream_t);

}  // namespace ndr
