// Exact nearest neighbours: what neighbours.cu offers to neighbours_bindings.cpp.
#pragma once
#include <cuda_runtime_api.h>

namespace ndr {

constexpr int LEAF_POINTS = 32, GROUP_LEAVES = 32, MAX_NEIGHBOURS = 32;

struct PointBoxes {
    const float4* points;  // [N] x y z 0, near ones in a row
    const float4* leaves;  // [L, 2] low and high corner of the box around 32 points
    const float4* groups;  // [G, 2] of the box around 32 leaves
    int num_points, num_leaves, num_groups;
};

struct NeighbourQueries {
    const float* points;  // [Q, 3]
    const int* starts;    // [Q] the leaf to look into first
    int count, neighbours;
    bool of_themselves;   // query i is point i, which it does not find
};

// positions, distances2: [Q, neighbours], nearest first; where in `points`, and squared distances.
void launch_nearest(const PointBoxes&, const NeighbourQueries&, int* positions, float* distances2, cudaStream_t);

}  // namespace ndr
