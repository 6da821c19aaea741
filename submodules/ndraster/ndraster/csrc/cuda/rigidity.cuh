// The rigidity losses: what rigidity.cu offers to rigidity_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include "shared/rigidity.h"

namespace ndr {

constexpr int MAX_LOSS_BLOCKS = 1056;

struct LossSums {  // scratch
    RigidTerms of_block[MAX_LOSS_BLOCKS];
    unsigned blocks_done;
};

struct RigidPoses {
    const float *means, *quats, *previous_quats;  // [F, 3], [F, 4], [F, 4]
};

// nodes: [F], written; losses: [3] rigid, rot, iso.
void launch_rigidity(const RigidGraph&, const RigidPoses&, RigidNode* nodes, LossSums*, float* losses, cudaStream_t);
// gradient: [3]; g_means: [F, 3]; g_quats: [F, 4].
void launch_rigidity_backward(const RigidGraph&, const RigidArrivals&, const RigidNode* nodes, const float* previous_quats,
                              const float* gradient, float* g_means, float* g_quats, cudaStream_t);

}  // namespace ndr
