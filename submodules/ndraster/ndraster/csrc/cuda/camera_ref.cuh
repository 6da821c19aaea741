// The camera of a call, by value or by reference to numbers on the GPU.
#pragma once
#include "shared/camera.h"

namespace ndr {

// A camera whose pose and intrinsics may lie in device memory, so that a CUDA graph can be replayed with others.
struct CameraRef {
    Camera value;
    const float* device;     // [16] rows 0 to 2 of world_to_camera, then fx fy cx cy; null: `value` has them
    CameraRef(const Camera& camera, const float* numbers = nullptr) : value(camera), device(numbers) {}
};

#ifdef __CUDACC__
__device__ __forceinline__ Camera load(const CameraRef& ref) {
    Camera c = ref.value;
    if (!ref.device) return c;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) c.rotation[3 * i + k] = ref.device[4 * i + k];
        c.translation[i] = ref.device[4 * i + 3];
    }
    for (int k = 0; k < 3; k++)
        c.eye[k] = -(c.rotation[k] * c.translation[0] + c.rotation[3 + k] * c.translation[1] +
                     c.rotation[6 + k] * c.translation[2]);
    c.fx = ref.device[12], c.fy = ref.device[13], c.cx = ref.device[14], c.cy = ref.device[15];
    return c;
}
#endif

}  // namespace ndr
