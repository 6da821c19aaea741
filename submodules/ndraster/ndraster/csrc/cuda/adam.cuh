// Adam over several tensors in one launch: what adam.cu offers to adam_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

namespace ndr {

constexpr int MAX_ADAM_TENSORS = 16;  // a launch; their pointers travel as a kernel argument

struct AdamTensor {
    float *parameter, *mean, *square;  // [size]
    const float* gradient;             // [size]
    float* step;                       // [1] updates done; null: no bias correction
    const float* rate;                 // [1] learning rate, on the device
    int64_t size;
    int row;                           // values of one Gaussian
    bool aligned;                      // all four start at 16 bytes
};

struct AdamTensors {
    AdamTensor tensors[MAX_ADAM_TENSORS];
    int count;
};

struct AdamSettings {
    double beta1, beta2, eps;
    const int* radii;                  // [N] rows with 0 are left alone; null: all are updated
};

// corrected: scratch [count] pairs of floats.
void launch_adam(const AdamTensors&, const AdamSettings&, float2* corrected, cudaStream_t);

}  // namespace ndr
