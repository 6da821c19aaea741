// The deformation network forward: the code of the points, eight layers, the head, all on one multiprocessor.
#include "cuda/layer_tile.cuh"

namespace ndr {
namespace {

// Sine and cosine of 2^k x. The fast functions want small angles: whole turns go first, by 1 / 2 pi in two parts.
__device__ __forceinline__ float2 wave(float x, int k) {
    constexpr float TURNS = 0.15915494f, TURNS_REST = 6.4206383e-9f, TURN = 6.28318531f;
    const float scaled = x * float(1 << k), whole = rintf(scaled * TURNS);
    const float angle = (fmaf(scaled, TURNS, -whole) + scaled * TURNS_REST) * TURN;
    return make_float2(__sinf(angle), __cosf(angle));
}

// The tile's rows: x, then for every k the sines and the cosines of 2^k x, then zero (Mildenhall et al. 2020, eq. 4,
// without pi). Rows beyond the last point get the code of 0.
template <class T>
__device__ void write_codes(const float* points, int64_t first, int64_t count, __half* codes) {
    for (int item = threadIdx.x; item < T::ROWS * FREQUENCIES; item += LAYER_THREADS) {
        const int row = item % T::ROWS, k = item / T::ROWS;
        const auto put = [&](int column, float v) { codes[swizzled<CODE_WIDTH>(row, column)] = __float2half_rn(v); };
#pragma unroll
        for (int axis = 0; axis < 3; axis++) {
            const float x = first + row < count ? points[(first + row) * 3 + axis] : 0.0f;
            const float2 sine_cosine = wave(x, k);
            put(3 + 6 * k + axis, sine_cosine.x), put(6 + 6 * k + axis, sine_cosine.y);
            if (k == 0) put(axis, x);
        }
        if (k == 0) put(CODE_WIDTH - 1, 0);
    }
}

template <class T>
__device__ __forceinline__ void start_from(Sums<T>& sums, const float* bias) {
#pragma unroll
    for (int n = 0; n < 8; n++) {
        const float* pair = bias + warp_column() + 8 * n + lane_id() % 4 * 2;
#pragma unroll
        for (int m = 0; m < T::BLOCKS; m++)
            sums.of[m][n][0] = sums.of[m][n][2] = pair[0], sums.of[m][n][1] = sums.of[m][n][3] = pair[1];
    }
}

// What is not a number stays so; what is too large becomes the largest number, which later layers can still subtract.
__device__ __forceinline__ __half2 rectified(float a, float b) {
    const __half2 largest = __floats2half2_rn(65504, 65504);
    return __hmin2_nan(__hmax2_nan(__floats2half2_rn(a, b), __floats2half2_rn(0, 0)), largest);
}

// The highest bit is the first number's: 1 where it is positive.
template <class T>
__device__ __forceinline__ void keep_signs(const Sums<T>& sums, uint32_t* to) {
    uint32_t words[T::BLOCKS] = {};
#pragma unroll
    for (int i = 0; i < 32; i++)
#pragma unroll
        for (int m = 0; m < T::BLOCKS; m++)
            words[m] = __funnelshift_l(__float_as_uint(0.0f - sums.of[m][i / 4][i % 4]), words[m], 1);
#pragma unroll
    for (int m = 0; m < T::BLOCKS; m++) __stcs(to + m * LAYER_THREADS, words[m]);
}

__device__ void load_head(const DeformNetwork& network, __half* head) {
    for (int i = threadIdx.x; i < MAX_OUTPUTS * LAYER_WIDTH; i += LAYER_THREADS) {
        const int row = i / LAYER_WIDTH, column = i % LAYER_WIDTH;
        head[swizzled<LAYER_WIDTH>(row, column)] = __float2half_rn(row < network.outputs ? network.head[i] : 0.0f);
    }
}

// A warp multiplies sixteen rows with the head.
template <class T>
__device__ void write_outputs(const TileMemory<T, __half>& memory, const DeformNetwork& network, int64_t first,
                              int64_t count, float* out) {
    const int lane = lane_id(), row = threadIdx.x / 32 * 16;
    if (row >= T::ROWS) return;
    float sums[2][4] = {};
#pragma unroll
    for (int k = 0; k < LAYER_WIDTH; k += 16) {
        uint32_t a[4], b[4];
        load_matrices(a, memory.hidden + swizzled<LAYER_WIDTH>(row + lane % 16, k + lane / 16 * 8));
        load_matrices(b, memory.head + swizzled<LAYER_WIDTH>(lane % 8 + lane / 16 * 8, k + lane / 8 % 2 * 8));
        multiply_add(sums[0], a, b[0], b[1]), multiply_add(sums[1], a, b[2], b[3]);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int64_t at = first + row + lane / 4 + i / 2 % 2 * 8;
        const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (at < count && column < network.outputs)
            out[at * network.outputs + column] = sums[i / 4][i % 4] + network.head_bias[column];
    }
}

template <class T>
__global__ void __launch_bounds__(LAYER_THREADS, 1)
forward_kernel(const float* points, int64_t count, int64_t rows, __grid_constant__ const DeformNetwork network,
               float* out, DeformKept kept) {
    extern __shared__ __align__(16) char shared[];
    auto& memory = *reinterpret_cast<TileMemory<T, __half>*>(shared);
    const int64_t tiles = rows / T::ROWS;
    WeightStream<T, __half> weights(network.weights, FORWARD_COLUMNS, tiles_of_block(tiles), memory.ring);
    load_head(network, memory.head);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t first = tile * T::ROWS;
        const auto hidden_of = [&](int layer) { return kept.hidden + (layer * rows + first) * LAYER_WIDTH; };
        write_codes<T>(points, first, count, memory.input);
        for (int layer = 0; layer < LAYERS; layer++) {
            constexpr int CHUNKS = LAYER_WIDTH / T::CHUNK;
            Sums<T> sums;
            start_from(sums, network.biases[layer]);
            for (int i = 0; i < CHUNKS && layer > 0; i++) {
                const __half* chunk = weights.next();
                if (kept.hidden) save_rows<T, LAYER_WIDTH>(memory.hidden, hidden_of(layer - 1), i, CHUNKS);
                multiply_chunk<LAYER_WIDTH>(sums, memory.hidden, i * T::CHUNK, chunk);
            }
            for (int at = 0; at < CODE_WIDTH && (layer == 0 || layer == SKIP_LAYER); at += T::CHUNK)
                multiply_chunk<CODE_WIDTH>(sums, memory.input, at, weights.next());
            if (kept.hidden) keep_signs(sums, kept.signs + first_sign<T>(tile, layer));
            __syncthreads();  // the layer before is no longer read
            write_sums(sums, memory.hidden, rectified);
        }
        __syncthreads();
        if (kept.hidden) {
            save_rows<T, CODE_WIDTH>(memory.input, kept.code + first * CODE_WIDTH, 0, 1);
            save_rows<T, LAYER_WIDTH>(memory.hidden, hidden_of(LAYERS - 1), 0, 1);
        }
        write_outputs(memory, network, first, count, out);
        __syncthreads();  // the next tile may overwrite the codes
    }
    wait_copies<0>();
}

}  // namespace

void launch_deform(const float* points, int64_t count, int64_t rows, const DeformNetwork& network, float* out,
                   const DeformKept& kept, cudaStream_t stream) {
    if (fits_large_tile())
        launch_on_tiles<LargeTile>(forward_kernel<LargeTile>, rows, stream, points, count, rows, network, out, kept);
    else
        launch_on_tiles<SmallTile>(forward_kernel<SmallTile>, rows, stream, points, count, rows, network, out, kept);
}

}  // namespace ndr
