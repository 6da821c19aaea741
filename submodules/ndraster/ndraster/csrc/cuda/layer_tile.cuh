// A layer of 256 neurons on a tile of rows: activations stay in shared memory, weights stream through a ring.
//
// Eight warps, two down and four across, each on half of the rows and 64 neurons. Rows of shared memory are swizzled:
// 16-byte pieces of eight neighbouring rows lie in different banks, so that matrix loads and stores meet no conflict.
#pragma once
#include <c10/cuda/CUDAException.h>

#include <cstring>
#include <type_traits>

#include "cuda/deform_mlp.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {

using bf16 = __nv_bfloat16;
constexpr int LAYER_THREADS = 256;

// ROWS of a tile, CHUNK columns of weights a stage, DEPTH stages. The large one needs a data centre's shared memory.
template <int ROWS_, int CHUNK_, int DEPTH_>
struct TileShape {
    static constexpr int ROWS = ROWS_, CHUNK = CHUNK_, DEPTH = DEPTH_;
    static constexpr int BLOCKS = ROWS / 32;  // of 16 rows, a warp
};
using LargeTile = TileShape<128, 64, 4>;
using SmallTile = TileShape<64, 32, 3>;

// E: __half forward, for its three more bits, or bf16 backward, for its range.
template <class T, class E>
struct TileMemory {
    E input[T::ROWS * CODE_WIDTH];
    E hidden[T::ROWS * LAYER_WIDTH];
    E ring[T::DEPTH][LAYER_WIDTH * T::CHUNK];
    E head[MAX_OUTPUTS * LAYER_WIDTH];
};

// A warp's part of a layer, in fragments of m16n8k16.
template <class T>
struct Sums {
    float of[T::BLOCKS][8][4];
};

__device__ __forceinline__ int lane_id() { return threadIdx.x % 32; }
template <class T>
__device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / 4 * (T::ROWS / 2); }
__device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % 4 * 64; }

// Where a number of a swizzled row is.
template <int WIDTH>
__device__ __forceinline__ unsigned swizzled(unsigned row, unsigned column) {
    constexpr unsigned PIECES = WIDTH / 8 < 8 ? WIDTH / 8 : 8;  // of 16 bytes, that change places
    return row * WIDTH + (column ^ row / (8 / PIECES) % PIECES * 8);
}

// The weights' columns, chunk after chunk and round after round; the next ones are on their way while one is used.
template <class T, class E>
class WeightStream {
  public:
    __device__ WeightStream(const E* weights, int columns, int64_t rounds, E (*ring)[LAYER_WIDTH * T::CHUNK])
        : weights(weights), columns(columns), left(rounds * (columns / T::CHUNK)), ring(ring) {
        for (int i = 0; i < T::DEPTH - 1; i++) send();
    }
    // The next chunk [256, CHUNK]; also a barrier: what was written to shared memory before can be read.
    __device__ const E* next() {
        wait_copies<T::DEPTH - 2>();
        __syncthreads();
        send();
        const E* chunk = ring[used];
        used = used + 1 < T::DEPTH ? used + 1 : 0;
        return chunk;
    }

  private:
    __device__ void send() {
        constexpr int PIECES = T::CHUNK / 8;
        if (left-- > 0) {
#pragma unroll
            for (int i = 0; i < LAYER_WIDTH * PIECES / LAYER_THREADS; i++) {
                const int piece = i * LAYER_THREADS + threadIdx.x, row = piece / PIECES, at = piece % PIECES * 8;
                copy16(ring[sent] + swizzled<T::CHUNK>(row, at), weights + row * columns + column + at, true);
            }
            column = column + T::CHUNK < columns ? column + T::CHUNK : 0;
            sent = sent + 1 < T::DEPTH ? sent + 1 : 0;
        }
        commit_copies();
    }

    const E* weights;
    int columns, column = 0;
    int64_t left;
    E (*ring)[LAYER_WIDTH * T::CHUNK];
    int sent = 0, used = 0;
};

template <class E>
__device__ __forceinline__ void multiply_add_of(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    if constexpr (std::is_same_v<E, __half>)
        multiply_add(c, a, b0, b1);
    else
        multiply_add_bf16(c, a, b0, b1);
}

// sums += rows[:, column .. column + CHUNK] weights^T. The next step's fragments load while one multiplies.
template <int WIDTH, class T, class E>
__device__ __forceinline__ void multiply_chunk(Sums<T>& sums, const E* rows, int column, const E* weights) {
    constexpr int STEPS = T::CHUNK / 16;
    const int lane = lane_id(), row = warp_row<T>() + lane % 16, neuron = warp_column() + lane % 8 + lane / 16 * 8;
    uint32_t a[2][T::BLOCKS][4], b[2][4][4];
    const auto load = [&](int step) {
#pragma unroll
        for (int n = 0; n < 4; n++)
            load_matrices(b[step % 2][n], weights + swizzled<T::CHUNK>(neuron + 16 * n, 16 * step + lane / 8 % 2 * 8));
#pragma unroll
        for (int m = 0; m < T::BLOCKS; m++)
            load_matrices(a[step % 2][m], rows + swizzled<WIDTH>(row + 16 * m, column + 16 * step + lane / 16 * 8));
    };
    load(0);
#pragma unroll
    for (int step = 0; step < STEPS; step++) {
        if (step + 1 < STEPS) load(step + 1);
#pragma unroll
        for (int m = 0; m < T::BLOCKS; m++)
#pragma unroll
            for (int n = 0; n < 8; n++)
                multiply_add_of<E>(sums.of[m][n], a[step % 2][m], b[step % 2][n / 2][n % 2 * 2],
                                   b[step % 2][n / 2][n % 2 * 2 + 1]);
    }
}

// Writes the sums into rows of shared memory; `rounded` makes two of them a pair of numbers.
template <class T, class E, class Rounded>
__device__ __forceinline__ void write_sums(const Sums<T>& sums, E* rows, Rounded rounded) {
    const int lane = lane_id();
#pragma unroll
    for (int m = 0; m < T::BLOCKS; m++)
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const auto pair = rounded(sums.of[m][n][2 * half], sums.of[m][n][2 * half + 1]);
                const int row = warp_row<T>() + 16 * m + 8 * half + lane / 4;
                const int column = warp_column() + 8 * n + lane % 4 * 2;
                memcpy(rows + swizzled<LAYER_WIDTH>(row, column), &pair, 4);
            }
}

// Eight numbers as they are kept.
__device__ __forceinline__ uint4 to_keep(const bf16* numbers) { return *reinterpret_cast<const uint4*>(numbers); }
__device__ __forceinline__ uint4 to_keep(const __half* numbers) {
    const auto shorter = [](uint32_t two) {
        const float2 pair = __half22float2(reinterpret_cast<const __half2&>(two));
        const __nv_bfloat162 kept = __floats2bfloat162_rn(pair.x, pair.y);
        return reinterpret_cast<const uint32_t&>(kept);
    };
    const uint4 all = *reinterpret_cast<const uint4*>(numbers);
    return {shorter(all.x), shorter(all.y), shorter(all.z), shorter(all.w)};
}

// Copies part `part` of `parts` of a tile's rows from shared memory to global, for good: nobody reads them soon.
template <class T, int WIDTH, class E>
__device__ __forceinline__ void save_rows(const E* rows, bf16* to, int part, int parts) {
    const unsigned pieces = T::ROWS * WIDTH / 8 / parts;
    for (unsigned i = threadIdx.x; i < pieces; i += LAYER_THREADS) {
        const unsigned at = (part * pieces + i) * 8, row = at / WIDTH;
        __stcs(reinterpret_cast<uint4*>(to + at), to_keep(rows + swizzled<WIDTH>(row, at % WIDTH)));
    }
}

// Where the thread's words of signs of a layer are; they follow each other by LAYER_THREADS.
template <class T>
__device__ __forceinline__ size_t first_sign(int64_t tile, int layer) {
    return (size_t(tile) * LAYERS + layer) * T::BLOCKS * LAYER_THREADS + threadIdx.x;
}

// The attribute of the current device.
inline int device_attribute(cudaDeviceAttr attribute) {
    int device = 0, value = 0;
    C10_CUDA_CHECK(cudaGetDevice(&device));
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, attribute, device));
    return value;
}

// Whether a block here can have the shared memory of the large tile.
inline bool fits_large_tile() {
    return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) >= int(sizeof(TileMemory<LargeTile, bf16>));
}

// One block a multiprocessor works on tile after tile.
template <class T, class Kernel, class... Arguments>
void launch_on_tiles(Kernel kernel, int64_t rows, cudaStream_t stream, const Arguments&... arguments) {
    constexpr int BYTES = sizeof(TileMemory<T, bf16>);
    const int64_t tiles = rows / T::ROWS, most = device_attribute(cudaDevAttrMultiProcessorCount);
    if (tiles == 0) return;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
    kernel<<<unsigned(tiles < most ? tiles : most), LAYER_THREADS, BYTES, stream>>>(arguments...);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

// How many tiles this block has of `tiles`.
__device__ __forceinline__ int64_t tiles_of_block(int64_t tiles) {
    return (tiles - blockIdx.x + gridDim.x - 1) / gridDim.x;
}

}  // namespace ndr
