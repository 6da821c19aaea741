// The deformation network's weights, side by side in the order in which the layers take them, in half precision.
#include "cuda/layer_tile.cuh"

namespace ndr {
namespace {

constexpr int ROWS = 32, PIECE = 8;  // of a block; numbers of a thread

__device__ __forceinline__ void put(float from, __half& to) { to = __float2half_rn(from); }
__device__ __forceinline__ void put(float from, bf16& to) { to = __float2bfloat16_rn(from); }

template <class E>
__device__ void pack(const WeightChunk& chunk, int at, int columns, E* to) {
    const int row = blockIdx.y * ROWS + threadIdx.x % ROWS, first = threadIdx.x / ROWS * PIECE;
    __align__(16) E piece[PIECE];
#pragma unroll
    for (int i = 0; i < PIECE; i++) {
        const int column = first + i;
        put(column < chunk.columns ? chunk.values[row * chunk.row_stride + column * chunk.column_stride] : 0, piece[i]);
    }
    E* place = to + size_t(row) * columns + at * CODE_WIDTH + first;
    *reinterpret_cast<uint4*>(place) = *reinterpret_cast<const uint4*>(piece);
}

__global__ void __launch_bounds__(LAYER_THREADS)
pack_kernel(__grid_constant__ const WeightChunks chunks, __half* forward, bf16* backward) {
    constexpr int FORWARD = FORWARD_COLUMNS / CODE_WIDTH;
    const int i = blockIdx.x;
    if (i < FORWARD)
        pack(chunks.forward[i], i, FORWARD_COLUMNS, forward);
    else
        pack(chunks.backward[i - FORWARD], i - FORWARD, BACKWARD_COLUMNS, backward);
}

}  // namespace

void launch_pack_weights(const WeightChunks& chunks, __half* forward, bf16* backward, cudaStream_t stream) {
    const int columns = FORWARD_COLUMNS + (backward ? BACKWARD_COLUMNS : 0);
    const dim3 blocks(columns / CODE_WIDTH, LAYER_WIDTH / ROWS);
    pack_kernel<<<blocks, LAYER_THREADS, 0, stream>>>(chunks, forward, backward);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
