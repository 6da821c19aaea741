// Small steps of a training iteration, each one launch: what training.cu offers to training_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

namespace ndr {

struct StoredShapes {          // as a model stores them
    const float* rotations;    // [N, 4] any length
    const float* log_scales;   // [N, 3]
    const float* logits;       // [N]
};

struct Activated {             // as the rasterizer takes them; or gradients of either
    float* quats;              // [N, 4]
    float* scales;             // [N, 3]
    float* opacities;          // [N]
};

struct StoredGradients {
    float *rotations, *log_scales, *logits;
};

void launch_activate(const StoredShapes&, int count, const Activated&, cudaStream_t);
// activated: scales and opacities of the forward pass; gradients: of what it returned.
void launch_activate_backward(const float* rotations, const float* scales, const float* opacities, const Activated& gradients,
                              int count, const StoredGradients&, cudaStream_t);

// Adds the length of (probe.x * scale_x, probe.y * scale_y) to gradient_sum and one to num_seen where radii > 0.
// first: column of the probe [N, 4] to start from.
void launch_observe(const float* probe, const int* radii, int count, int first, float scale_x, float scale_y,
                    float* gradient_sum, float* num_seen, cudaStream_t);

}  // namespace ndr
