// The camera numbers of an operator call as the Camera that kernels take. Host code.
#pragma once
#include <ATen/core/Tensor.h>

#include "camera.h"

namespace ndr {

// All but the pose and the intrinsics, which are zero.
inline Camera camera_settings(int64_t width, int64_t height, int64_t sh_degree, bool antialiasing, double near,
                              double scale_modifier) {
    Camera c = {};
    c.near = (float)near, c.scale_modifier = (float)scale_modifier;
    c.width = (int)width, c.height = (int)height, c.sh_degree = (int)sh_degree, c.antialiasing = antialiasing;
    return c;
}

inline Camera make_camera(const at::Tensor& packed, int64_t width, int64_t height, int64_t sh_degree,
                          bool antialiasing, double near, double scale_modifier) {
    TORCH_CHECK(packed.numel() == 16 && packed.is_cpu(), "camera holds ", packed.numel(), " numbers; expected 16 on the CPU");
    const double* numbers = packed.const_data_ptr<double>();
    Camera c = camera_settings(width, height, sh_degree, antialiasing, near, scale_modifier);
    double eye[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            c.rotation[3 * i + k] = (float)numbers[4 * i + k];
            eye[k] -= numbers[4 * i + k] * numbers[4 * i + 3];
        }
        c.translation[i] = (float)numbers[4 * i + 3];
    }
    for (int k = 0; k < 3; k++) c.eye[k] = (float)eye[k];
    c.fx = (float)numbers[12], c.fy = (float)numbers[13], c.cx = (float)numbers[14], c.cy = (float)numbers[15];
    return c;
}

}  // namespace ndr
