// Exact nearest neighbours. A warp answers a query: it keeps the best candidates, one a lane, nearest first, and passes over
// every box that is not nearer than the last of them. Boxes hold 32 points, and 32 boxes have a box of their own.
#include <c10/cuda/CUDAException.h>

#include "cuda/neighbours.cuh"

namespace ndr {
namespace {

constexpr int THREADS = 128;
constexpr unsigned WARP = 0xffffffffu;

// Rounded step by step, so that a point is never nearer than its box.
__device__ __forceinline__ float square_length(float x, float y, float z) {
    return __fmaf_rn(x, x, __fmaf_rn(y, y, __fmul_rn(z, z)));
}

__device__ __forceinline__ float gap(float low, float high, float at) {
    return fmaxf(fmaxf(__fsub_rn(low, at), __fsub_rn(at, high)), 0.0f);
}

struct Search {
    const PointBoxes& boxes;
    float3 at;
    int self;                  // position that is left out, or -1
    int last;                  // lane of the last neighbour
    int first_seen, last_seen; // leaves looked into at the start
    int lane = threadIdx.x % 32;
    float distance2 = INFINITY, limit = INFINITY;
    int position = -1;

    __device__ __forceinline__ float to_box(const float4* box) const {
        const float4 low = __ldg(box), high = __ldg(box + 1);
        return square_length(gap(low.x, high.x, at.x), gap(low.y, high.y, at.y), gap(low.z, high.z, at.z));
    }

    __device__ __forceinline__ void insert(float candidate, int from) {
        const int place = __popc(__ballot_sync(WARP, distance2 <= candidate));
        const float before = __shfl_up_sync(WARP, distance2, 1);
        const int position_before = __shfl_up_sync(WARP, position, 1);
        if (lane == place) distance2 = candidate, position = from;
        if (lane > place) distance2 = before, position = position_before;
        limit = __shfl_sync(WARP, distance2, last);
    }

    __device__ __forceinline__ void visit_leaf(int leaf) {
        const int mine = leaf * LEAF_POINTS + lane;
        float near = INFINITY;
        if (mine < boxes.num_points && mine != self) {
            const float4 p = __ldg(boxes.points + mine);
            near = square_length(__fsub_rn(p.x, at.x), __fsub_rn(p.y, at.y), __fsub_rn(p.z, at.z));
        }
        for (unsigned open = __ballot_sync(WARP, near < limit); open; open &= __ballot_sync(WARP, near < limit)) {
            const int next = __ffs(open) - 1;
            insert(__shfl_sync(WARP, near, next), leaf * LEAF_POINTS + next);
            open &= open - 1;
        }
    }

    __device__ __forceinline__ void visit_group(int group) {
        const int mine = group * GROUP_LEAVES + lane;
        const bool is_new = mine < boxes.num_leaves && (mine < first_seen || mine > last_seen);
        const float near = is_new ? to_box(boxes.leaves + 2 * mine) : INFINITY;
        for (unsigned open = __ballot_sync(WARP, near < limit); open; open &= __ballot_sync(WARP, near < limit)) {
            visit_leaf(group * GROUP_LEAVES + __ffs(open) - 1);
            open &= open - 1;
        }
    }

    __device__ void run() {
        for (int leaf = first_seen; leaf <= last_seen; leaf++) visit_leaf(leaf);
        for (int base = 0; base < boxes.num_groups; base += 32) {
            const float near = base + lane < boxes.num_groups ? to_box(boxes.groups + 2 * (base + lane)) : INFINITY;
            for (unsigned open = __ballot_sync(WARP, near < limit); open; open &= __ballot_sync(WARP, near < limit)) {
                visit_group(base + __ffs(open) - 1);
                open &= open - 1;
            }
        }
    }
};

__global__ void __launch_bounds__(THREADS)
nearest_kernel(PointBoxes boxes, NeighbourQueries queries, int* positions, float* distances2) {
    const int query = (blockIdx.x * THREADS + threadIdx.x) / 32;
    if (query >= queries.count) return;
    const float* at = queries.points + 3 * size_t(query);
    const int start = queries.starts[query];
    Search search = {boxes,
                     make_float3(at[0], at[1], at[2]),
                     queries.of_themselves ? query : -1,
                     queries.neighbours - 1,
                     max(start - 1, 0),
                     min(start + 1, boxes.num_leaves - 1)};
    search.run();
    if (search.lane >= queries.neighbours) return;
    const size_t to = size_t(query) * queries.neighbours + search.lane;
    positions[to] = search.position, distances2[to] = search.distance2;
}

}  // namespace

void launch_nearest(const PointBoxes& boxes, const NeighbourQueries& queries, int* positions, float* distances2,
                    cudaStream_t stream) {
    if (queries.count == 0) return;
    const unsigned blocks = (unsigned(queries.count) + THREADS / 32 - 1) / (THREADS / 32);
    nearest_kernel<<<blocks, THREADS, 0, stream>>>(boxes, queries, positions, distances2);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
