// map [H, W, D] = W F on the matrix units: a block a tile and a slice of channels, a warp its 32 pixels x the slice. The rows of F
// that a chunk of the list names are brought to shared memory once per tile; every warp then picks its own among them,
// because a matrix load takes the address of each row: skipping what a warp does not see costs nothing.
#include "cuda/products.cuh"

namespace ndr {
namespace {

constexpr int DEPTH = 4;        // blocks of 16 weight rows that a warp has or awaits
constexpr int WEIGHT_ROW = 40;  // halves from one row of weights to the next: 80 bytes, so that 8 rows miss no bank

template <int SLICE, int PARTS>
struct ProductStage {
    __half features[PARTS][CHUNK][SLICE + PAD];
    __half weights[SUBTILES][DEPTH][PARTS][16][WEIGHT_ROW];
    uint8_t positions[SUBTILES][CHUNK];
};

// Sixteen rows of weights, zeros beyond `met`.
template <int PARTS>
__device__ void copy_weights(const Weights& weights, size_t row, int base, int met, int lane,
                             __half (*to)[16][WEIGHT_ROW]) {
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int k = 8 * half + lane / 4, piece = lane % 4 * 8;
            const bool exists = base + k < met;
            copy16(&to[part][k][piece], weights.rows[part] + (row + (exists ? base + k : 0)) * 32 + piece, exists);
        }
}

template <int SLICE, int PARTS>
__global__ void __launch_bounds__(TILE_PIXELS, PARTS == 2 ? 1 : SLICE == 32 ? 3 : 2)
product_kernel(TileLists lists, Weights weights, PackedFeatures features, float* map) {
    extern __shared__ __align__(16) char shared[];
    auto& stage = *reinterpret_cast<ProductStage<SLICE, PARTS>*>(shared);
    const int slices = features.padded / SLICE, tile = blockIdx.x / slices, first = blockIdx.x % slices * SLICE;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int2 range = lists.ranges[tile];
    const uint4* masks = weights.masks + first_chunk(range, tile) * SUBTILES + warp;
    size_t row = first_row(range, warp);
    float sums[2][SLICE / 8][4] = {};
    for (int start = range.x; start < range.y; start += CHUNK, masks += SUBTILES) {
        const uint4 mask = *masks;
        const int met = count_bits(mask);
        if (!__syncthreads_or(met)) continue;  // also: the last chunk is no longer in use
        copy_rows<SLICE, PARTS>(lists, features, start, min(CHUNK, range.y - start), first, stage.features);
        const auto send = [&](int block) {  // one group of copies a block, also when there is none left
            if (16 * block < met) copy_weights<PARTS>(weights, row, 16 * block, met, lane, stage.weights[warp][block % DEPTH]);
            commit_copies();
        };
        for (int block = 0; block < DEPTH - 1; block++) send(block);
        expand_mask(mask, lane, stage.positions[warp]);
        wait_copies<DEPTH - 2>();
        __syncthreads();
        for (int base = 0; base < met; base += 16) {
            const int turn = base / 16 % DEPTH;
            send(base / 16 + DEPTH - 1);
            const int position = stage.positions[warp][min(base + lane % 16, met - 1)];  // row of B that this lane points to
            uint32_t a[PARTS][2][4];
#pragma unroll
            for (int part = 0; part < PARTS; part++)
#pragma unroll
                for (int m = 0; m < 2; m++)
                    load_matrices_transposed(a[part][m], &stage.weights[warp][turn][part][lane % 8 + 8 * (lane / 16)]
                                                                       [16 * m + 8 * (lane / 8 % 2)]);
#pragma unroll
            for (int n = 0; n < SLICE / 16; n++) {
                uint32_t b[PARTS][4];
#pragma unroll
                for (int part = 0; part < PARTS; part++)
                    load_matrices_transposed(b[part], &stage.features[part][position][16 * n + 8 * (lane / 16)]);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply_parts<PARTS>(sums[m][2 * n], sums[m][2 * n + 1], a, m, b);
            }
            wait_copies<DEPTH - 2>();
            __syncwarp();
        }
        row += met;
    }
    const float scale = 1 / (WEIGHT_SCALE * *features.scale);
    const PixelQuad quad(lists, tile, warp, lane, features.width);
#pragma unroll
    for (int m = 0; m < 4; m++)  // pixel 4g + m is row g + 8 (m % 2) of row block m / 2
#pragma unroll
        for (int n = 0; n < SLICE / 16; n++) {
            const auto &low = sums[m / 2][2 * n], &high = sums[m / 2][2 * n + 1];
            const int r = m % 2 * 2;
            quad.write(map, m, first + 16 * n + 4 * (lane % 4),
                       make_float4(low[r] * scale, low[r + 1] * scale, high[r] * scale, high[r + 1] * scale));
        }
}

template <int SLICE, int PARTS>
void launch(const TileLists& lists, const Weights& weights, const PackedFeatures& features, float* map,
            cudaStream_t stream) {
    constexpr int BYTES = sizeof(ProductStage<SLICE, PARTS>);
    const auto kernel = product_kernel<SLICE, PARTS>;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
    kernel<<<lists.tiles_x * lists.tiles_y * (features.padded / SLICE), TILE_PIXELS, BYTES, stream>>>(lists, weights,
                                                                                                    features, map);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void launch_product(const TileLists& lists, const Weights& weights, const PackedFeatures& features, float* map,
                    cudaStream_t stream) {
    const bool exact = weights.rows[1] != nullptr;
    const auto run = slice_of(features.width) == 32 ? (exact ? launch<32, 2> : launch<32, 1>)
                                                    : (exact ? launch<64, 2> : launch<64, 1>);
    run(lists, weights, features, map, stream);
}

}  // namespace ndr
