// The rigidity losses. Forward a thread takes a few pairs, and the last block to finish adds up what the blocks found, in their
// order. Backward eight lanes share a row and go over the pairs that start in it and those that end in it: twice the
// arithmetic, but no atomics, so equal inputs give equal bits.
#include <c10/cuda/CUDAException.h>

#include "cuda/rigidity.cuh"

namespace ndr {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, LANES = 8;
constexpr unsigned WARP = 0xffffffffu;

int blocks_for(int64_t items, int threads) { return int((items + threads - 1) / threads); }

__device__ __forceinline__ RigidNode load_node(const RigidNode* nodes, int row) {
    const float4* at = reinterpret_cast<const float4*>(nodes + row);
    const float4 first = __ldg(at), second = __ldg(at + 1);
    return {{first.x, first.y, first.z}, first.w, {second.x, second.y, second.z}, 0};
}

__global__ void __launch_bounds__(THREADS) node_kernel(RigidPoses poses, int rows, RigidNode* nodes, unsigned* blocks_done) {
    const int row = blockIdx.x * THREADS + threadIdx.x;
    if (row == 0) *blocks_done = 0;
    if (row < rows) nodes[row] = make_node(poses.means, poses.quats, poses.previous_quats, row);
}

// Sum of `value` over `lanes` neighbouring lanes, in all of them.
template <int lanes, typename Number>
__device__ __forceinline__ Number lane_sum(Number value) {
#pragma unroll
    for (int step = lanes / 2; step; step /= 2) value += __shfl_xor_sync(WARP, value, step);
    return value;
}

template <typename Number>
struct Terms {
    Number rigid, rot, iso;
    __device__ __forceinline__ void add(RigidTerms t) { rigid += t.rigid, rot += t.rot, iso += t.iso; }
};

// Sums over the block, for thread 0.
template <typename Number>
__device__ Terms<Number> block_sum(Terms<Number> t) {
    __shared__ Terms<Number> of_warp[WARPS];
    t = {lane_sum<32>(t.rigid), lane_sum<32>(t.rot), lane_sum<32>(t.iso)};
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = t;
    __syncthreads();
    Terms<Number> all = {0, 0, 0};
    if (threadIdx.x == 0)
        for (const Terms<Number>& w : of_warp) all.rigid += w.rigid, all.rot += w.rot, all.iso += w.iso;
    return all;
}

// Whether this block is the last to have written its sums.
__device__ bool leave_sums(Terms<float> sums, LossSums* scratch) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        scratch->of_block[blockIdx.x] = {sums.rigid, sums.rot, sums.iso};
        __threadfence();
        is_last = atomicAdd(&scratch->blocks_done, 1u) + 1 == gridDim.x;
    }
    __syncthreads();
    return is_last;
}

__global__ void __launch_bounds__(THREADS)
losses_kernel(RigidGraph graph, const RigidNode* nodes, LossSums* scratch, float* losses) {
    Terms<float> sums = {0, 0, 0};
    for (int p = blockIdx.x * THREADS + threadIdx.x; p < graph.pairs(); p += gridDim.x * THREADS)
        sums.add(pair_terms(load_node(nodes, p / graph.degree), load_node(nodes, __ldg(graph.indices + p)), graph.pair(p)));
    if (!leave_sums(block_sum(sums), scratch)) return;
    __threadfence();
    Terms<double> all = {0, 0, 0};
    for (int b = threadIdx.x; b < gridDim.x; b += THREADS) {
        const float* found = &scratch->of_block[b].rigid;
        all.add({__ldcg(found), __ldcg(found + 1), __ldcg(found + 2)});
    }
    all = block_sum(all);
    if (threadIdx.x) return;
    const double share = 1.0 / graph.pairs();
    losses[0] = float(all.rigid * share), losses[1] = float(all.rot * share), losses[2] = float(all.iso * share);
}

__device__ __forceinline__ void sum_lanes(Vec3& v) { v = {lane_sum<LANES>(v.x), lane_sum<LANES>(v.y), lane_sum<LANES>(v.z)}; }

__global__ void __launch_bounds__(THREADS)
rows_kernel(RigidGraph graph, RigidArrivals arrivals, const RigidNode* nodes, const float* previous_quats,
            const float* gradient, float* g_means, float* g_quats) {
    const int row = (blockIdx.x * THREADS + threadIdx.x) / LANES, lane = threadIdx.x % LANES;
    const bool inside = row < graph.rows;  // lanes without a row still take part in the sums
    const float share = 1.0f / graph.pairs();
    const RigidTerms slopes = {gradient[0] * share, gradient[1] * share, gradient[2] * share};
    const RigidNode node = load_node(nodes, inside ? row : 0);
    RigidSums sums;
    if (inside) {
        for (int p = row * graph.degree + lane; p < (row + 1) * graph.degree; p += LANES)
            sums.leave(node, load_node(nodes, __ldg(graph.indices + p)), graph.pair(p), slopes);
        for (int a = arrivals.offsets[row] + lane; a < arrivals.offsets[row + 1]; a += LANES) {
            const int p = __ldg(arrivals.pairs + a);
            sums.arrive(node, load_node(nodes, p / graph.degree), graph.pair(p), slopes);
        }
    }
    sum_lanes(sums.mean), sum_lanes(sums.turn.v), sums.turn.w = lane_sum<LANES>(sums.turn.w);
    for (Vec3& column : sums.outer) sum_lanes(column);
    if (inside && lane == 0) sums.write(node, previous_quats, row, g_means, g_quats);
}

}  // namespace

void launch_rigidity(const RigidGraph& graph, const RigidPoses& poses, RigidNode* nodes, LossSums* scratch, float* losses,
                     cudaStream_t stream) {
    node_kernel<<<blocks_for(graph.rows, THREADS), THREADS, 0, stream>>>(poses, graph.rows, nodes, &scratch->blocks_done);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    const int blocks = min(blocks_for(graph.pairs(), THREADS), MAX_LOSS_BLOCKS);
    losses_kernel<<<blocks, THREADS, 0, stream>>>(graph, nodes, scratch, losses);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_rigidity_backward(const RigidGraph& graph, const RigidArrivals& arrivals, const RigidNode* nodes,
                              const float* previous_quats, const float* gradient, float* g_means, float* g_quats,
                              cudaStream_t stream) {
    const int blocks = blocks_for(int64_t(graph.rows) * LANES, THREADS);
    rows_kernel<<<blocks, THREADS, 0, stream>>>(graph, arrivals, nodes, previous_quats, gradient, g_means, g_quats);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
