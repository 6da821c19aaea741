// The deformation network backward: the gradient of what enters each ReLU, from the head to the first layer, and its
// sums over rows. Gradients of weights are products of these with what the forward pass kept, for a matrix library.
#include "cuda/layer_tile.cuh"

namespace ndr {
namespace {

// [ROWS, CODE_WIDTH] in shared memory; columns beyond MAX_OUTPUTS are zero already.
template <class T>
__device__ void load_gradient(const bf16* gradient, bf16* input) {
    constexpr int PIECES = MAX_OUTPUTS / 8;
    for (int i = threadIdx.x; i < T::ROWS * PIECES; i += LAYER_THREADS)
        *reinterpret_cast<uint4*>(input + swizzled<CODE_WIDTH>(i / PIECES, i % PIECES * 8)) =
            reinterpret_cast<const uint4*>(gradient)[i];
}

// Zero where the ReLU let nothing through.
template <class T>
__device__ __forceinline__ void apply_signs(Sums<T>& sums, const uint32_t (&words)[T::BLOCKS]) {
#pragma unroll
    for (int m = 0; m < T::BLOCKS; m++)
#pragma unroll
        for (int i = 0; i < 32; i++)
            if (!(words[m] >> (31 - i) & 1)) sums.of[m][i / 4][i % 4] = 0;
}

// Of 2 COUNT columns that two lanes hold, each keeps COUNT and gives the rest to the other.
template <int COUNT>
__device__ __forceinline__ void halve_columns(float (&held)[16]) {
    const bool upper = lane_id() & 2 * COUNT;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const float given = __shfl_xor_sync(~0u, upper ? held[i] : held[i + COUNT], 2 * COUNT);
        held[i] = (upper ? held[i + COUNT] : held[i]) + given;
    }
}

// Adds up a warp's rows: columns 2 lane and 2 lane + 1 of its 64.
template <class T>
__device__ __forceinline__ float2 sum_rows(const Sums<T>& sums) {
    float held[16];
#pragma unroll
    for (int i = 0; i < 16; i++) {
        held[i] = 0;
#pragma unroll
        for (int m = 0; m < T::BLOCKS; m++) held[i] += sums.of[m][i / 2][i % 2] + sums.of[m][i / 2][2 + i % 2];
    }
    halve_columns<8>(held), halve_columns<4>(held), halve_columns<2>(held);
    return make_float2(held[0], held[1]);
}

template <class T>
__global__ void __launch_bounds__(LAYER_THREADS, 1)
backward_kernel(const bf16* gradient, int64_t rows, const bf16* transposed, const uint32_t* signs,
                DeformGradients gradients) {
    extern __shared__ __align__(16) char shared[];
    auto& memory = *reinterpret_cast<TileMemory<T, bf16>*>(shared);
    const int64_t tiles = rows / T::ROWS;
    WeightStream<T, bf16> weights(transposed, BACKWARD_COLUMNS, tiles_of_block(tiles), memory.ring);
    for (int i = threadIdx.x; i < T::ROWS * CODE_WIDTH; i += LAYER_THREADS) memory.input[i] = bf16(0.0f);
    __syncthreads();
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t first = tile * T::ROWS;
        const auto gradient_of = [&](int layer) { return gradients.layers + (layer * rows + first) * LAYER_WIDTH; };
        load_gradient<T>(gradient + first * MAX_OUTPUTS, memory.input);
        for (int layer = LAYERS - 1; layer >= 0; layer--) {
            constexpr int CHUNKS = LAYER_WIDTH / T::CHUNK;
            uint32_t words[T::BLOCKS];
#pragma unroll
            for (int m = 0; m < T::BLOCKS; m++) words[m] = signs[first_sign<T>(tile, layer) + m * LAYER_THREADS];
            Sums<T> sums = {};
            for (int i = 0; i < CHUNKS && layer < LAYERS - 1; i++) {
                const bf16* chunk = weights.next();
                save_rows<T, LAYER_WIDTH>(memory.hidden, gradient_of(layer + 1), i, CHUNKS);
                multiply_chunk<LAYER_WIDTH>(sums, memory.hidden, i * T::CHUNK, chunk);
            }
            for (int at = 0; at < CODE_WIDTH && layer == LAYERS - 1; at += T::CHUNK)
                multiply_chunk<CODE_WIDTH>(sums, memory.input, at, weights.next());
            apply_signs(sums, words);
            const int64_t part = 2 * tile + (warp_row<T>() > 0);
            float* to = gradients.bias_parts + (part * LAYERS + layer) * LAYER_WIDTH + warp_column();
            reinterpret_cast<float2*>(to)[lane_id()] = sum_rows(sums);
            __syncthreads();  // the layer after is no longer read
            write_sums(sums, memory.hidden, [](float a, float b) { return __floats2bfloat162_rn(a, b); });
        }
        __syncthreads();
        save_rows<T, LAYER_WIDTH>(memory.hidden, gradient_of(0), 0, 1);
    }
    wait_copies<0>();
}

}  // namespace

int64_t bias_parts(int64_t rows) { return 2 * rows / (fits_large_tile() ? LargeTile::ROWS : SmallTile::ROWS); }

void launch_deform_backward(const bf16* gradient, int64_t rows, const bf16* weights, const uint32_t* signs,
                            const DeformGradients& gradients, cudaStream_t stream) {
    if (fits_large_tile())
        launch_on_tiles<LargeTile>(backward_kernel<LargeTile>, rows, stream, gradient, rows, weights, signs, gradients);
    else
        launch_on_tiles<SmallTile>(backward_kernel<SmallTile>, rows, stream, gradient, rows, weights, signs, gradients);
}

}  // namespace ndr
