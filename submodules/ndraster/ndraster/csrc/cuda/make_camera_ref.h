// The camera numbers of an operator call, on the CPU or on the GPU, as the CameraRef that kernels take. Host code.
#pragma once
#include "cuda/camera_ref.cuh"
#include "shared/make_camera.h"

namespace ndr {

inline CameraRef camera_ref(const at::Tensor& numbers, int64_t width, int64_t height, int64_t sh_degree,
                            bool antialiasing, double near, double scale_modifier) {
    if (!numbers.is_cuda()) return make_camera(numbers, width, height, sh_degree, antialiasing, near, scale_modifier);
    TORCH_CHECK(numbers.numel() == 16 && numbers.is_contiguous(), "camera holds ", numbers.numel(), " numbers; expected 16");
    const Camera settings = camera_settings(width, height, sh_degree, antialiasing, near, scale_modifier);
    return {settings, numbers.const_data_ptr<float>()};
}

}  // namespace ndr
