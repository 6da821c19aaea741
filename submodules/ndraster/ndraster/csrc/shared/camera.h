// The camera and the settings of one call, passed to kernels by value.
#pragma once

#ifdef __CUDACC__
#define NDR_HD __host__ __device__ __forceinline__
#else
#define NDR_HD inline
#endif

namespace ndr {

struct Camera {
    float rotation[9];     // world to camera, row-major
    float translation[3];
    float eye[3];          // camera centre, world
    float fx, fy, cx, cy;  // px; pixel centres at +0.5
    float near;            // camera z at or below which Gaussians are dropped
    float scale_modifier;
    int width, height;
    int sh_degree;
    bool antialiasing;
};

}  // namespace ndr
