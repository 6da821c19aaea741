// Y = <G, F> wherever there is a weight, on the matrix units: a block a tile, a warp its 32 pixels x the list entries
// that it met. Sums stay in registers while the slices of channels pass through shared memory, some slices ahead.
#include "cuda/products.cuh"

namespace ndr {
namespace {

template <int SLICE, int PARTS, int DEPTH>
struct DotsStage {
    struct Slice {
        __half features[PARTS][CHUNK][SLICE + PAD];
        __half gradient[PARTS][SUBTILES][SLICE / 16][512];  // fragments: a lane's 16 halves after each other
    } slices[DEPTH];
    uint8_t positions[SUBTILES][CHUNK];
};

// Starts copying a warp's fragments of a slice.
template <int STEPS, int PARTS>
__device__ void copy_fragments(const PackedGradient& gradient, size_t slot, int warp, int lane,
                               __half (*to)[SUBTILES][STEPS][512]) {
    const size_t from = (slot * SUBTILES + warp) * STEPS * 512;
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int piece = 0; piece < STEPS * 2; piece++) {
            const int at = (piece * 32 + lane) * 8;
            copy16(&to[part][warp][0][0] + at, gradient.fragments[part] + from + at, true);
        }
}

// A of one step of sixteen channels: both row blocks, high and low parts.
template <int STEPS, int PARTS>
__device__ __forceinline__ void load_fragment(const __half (*gradient)[SUBTILES][STEPS][512], int warp, int step, int lane,
                                              uint32_t (&a)[PARTS][2][4]) {
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int m = 0; m < 2; m++) {
            const uint4 four = reinterpret_cast<const uint4*>(gradient[part][warp][step])[2 * lane + m];
            a[part][m][0] = four.x, a[part][m][1] = four.y, a[part][m][2] = four.z, a[part][m][3] = four.w;
        }
}

// Sums of up to DOT_GROUP entries into rows in pixel order.
__device__ void write_rows(const FeatureDots& dots, const float (*sums)[2][2][4], int count, size_t row, float* group_scale,
                           float undo, int lane) {
    constexpr int BLOCKS = DOT_GROUP / 16;
    float largest = 0;
#pragma unroll
    for (int i = 0; i < BLOCKS; i++)
#pragma unroll
        for (int r = 0; r < 16; r++)
            if (16 * i < count) largest = fmaxf(largest, fabsf((&sums[i][0][0][0])[r]));
    const float scale = dots.rows ? half_scale(warp_max(largest)) : 1;
    if (lane == 0) *group_scale = undo / scale;
#pragma unroll
    for (int i = 0; i < BLOCKS; i++)
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const int k = 16 * i + 8 * n + 2 * (lane % 4) + c;
                if (k >= count) continue;
                const float4 v = make_float4(sums[i][0][n][c] * scale, sums[i][0][n][2 + c] * scale,
                                             sums[i][1][n][c] * scale, sums[i][1][n][2 + c] * scale);
                const size_t at = (row + k) * 32 + 4 * (lane / 4);
                if (dots.rows)
                    *reinterpret_cast<uint2*>(dots.rows + at) = make_uint2(pack(high_half(v.x), high_half(v.y)),
                                                                          pack(high_half(v.z), high_half(v.w)));
                else
                    *reinterpret_cast<float4*>(dots.exact_rows + at) = v;
            }
}

// GROUPS: of DOT_GROUP entries that a warp has in registers. With few channels the kernel waits more than it computes,
// and two small blocks on a multiprocessor hide more than a large one.
template <int SLICE, int PARTS, int GROUPS, int DEPTH>
__global__ void __launch_bounds__(TILE_PIXELS, PARTS == 2 || GROUPS == 4 ? 1 : GROUPS == 2 ? 2 : 3)
dots_kernel(TileLists lists, Weights weights, PackedFeatures features, PackedGradient gradient, FeatureDots dots) {
    extern __shared__ __align__(16) char shared[];
    auto& stage = *reinterpret_cast<DotsStage<SLICE, PARTS, DEPTH>*>(shared);
    constexpr int STEPS = SLICE / 16, BLOCKS = GROUPS * DOT_GROUP / 16;
    const int tile = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32, slices = features.padded / SLICE;
    const int2 range = lists.ranges[tile];
    size_t chunk = first_chunk(range, tile) * SUBTILES + warp, row = first_row(range, warp);
    for (int start = range.x, base = 0; start < range.y;) {
        const uint4 mask = weights.masks[chunk];
        const int all = count_bits(mask), size = min(CHUNK, range.y - start);
        const int met = max(0, min(all - base, GROUPS * DOT_GROUP));  // in this pass
        const bool anything = __syncthreads_or(met);
        if (anything) {
            if (base == 0) expand_mask(mask, lane, stage.positions[warp]);
            const auto send = [&](int slice) {  // one group of copies a slice, also when there is none left
                if (slice < slices && (base == 0 || slices > 1)) {  // a single slice is still there
                    auto& to = stage.slices[slice % DEPTH];
                    copy_rows<SLICE, PARTS>(lists, features, start, size, slice * SLICE, to.features);
                    copy_fragments<STEPS, PARTS>(gradient, size_t(tile) * slices + slice, warp, lane, to.gradient);
                }
                commit_copies();
            };
            for (int slice = 0; slice < DEPTH - 1; slice++) send(slice);
            __syncwarp();
            int positions[BLOCKS];  // of the row of B that this lane points to
#pragma unroll
            for (int i = 0; i < BLOCKS; i++)
                positions[i] = met ? stage.positions[warp][base + min(16 * i + lane % 8 + 8 * (lane / 16), met - 1)] : 0;
            float sums[BLOCKS][2][2][4] = {};
            float scale = 0;
            for (int slice = 0; slice < slices; slice++) {
                const float scale_now = gradient.scales[size_t(tile) * slices + slice];
                if (scale_now != scale && scale != 0) {
#pragma unroll
                    for (int i = 0; i < BLOCKS; i++)
#pragma unroll
                        for (int r = 0; r < 16; r++) (&sums[i][0][0][0])[r] *= scale_now / scale;  // powers of two
                }
                scale = scale_now;
                wait_copies<DEPTH - 2>();
                __syncthreads();  // the slice is there, and the one before is no longer in use
                send(slice + DEPTH - 1);
                const auto& now = stage.slices[slice % DEPTH];
#pragma unroll
                for (int step = 0; step < STEPS; step++) {
                    uint32_t a[PARTS][2][4];
                    load_fragment<STEPS, PARTS>(now.gradient, warp, step, lane, a);
#pragma unroll
                    for (int i = 0; i < BLOCKS; i++) {
                        if (16 * i >= met) break;
                        uint32_t b[PARTS][4];
#pragma unroll
                        for (int part = 0; part < PARTS; part++)
                            load_matrices(b[part], &now.features[part][positions[i]][16 * step + 8 * (lane / 8 % 2)]);
#pragma unroll
                        for (int m = 0; m < 2; m++) multiply_parts<PARTS>(sums[i][m][0], sums[i][m][1], a, m, b);
                    }
                }
            }
            wait_copies<0>();
#pragma unroll
            for (int group = 0; group < GROUPS; group++) {
                const int first = base + group * DOT_GROUP;
                write_rows(dots, sums + group * (DOT_GROUP / 16), met - group * DOT_GROUP, row + first,
                           dots.scales + chunk * (CHUNK / DOT_GROUP) + first / DOT_GROUP, 1 / (scale * *features.scale), lane);
            }
        }
        base += GROUPS * DOT_GROUP;
        if (base >= CHUNK || !anything) base = 0, start += CHUNK, chunk += SUBTILES, row += all;
    }
}

template <int SLICE, int PARTS, int GROUPS, int DEPTH>
void launch(const TileLists& lists, const Weights& weights, const PackedFeatures& features,
            const PackedGradient& gradient, const FeatureDots& dots, cudaStream_t stream) {
    constexpr int BYTES = sizeof(DotsStage<SLICE, PARTS, DEPTH>);
    const auto kernel = dots_kernel<SLICE, PARTS, GROUPS, DEPTH>;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
    kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, BYTES, stream>>>(lists, weights, features, gradient, dots);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void launch_dots(const TileLists& lists, const Weights& weights, const PackedFeatures& features,
                 const PackedGradient& gradient, const FeatureDots& dots, cudaStream_t stream) {
    const bool exact = weights.rows[1] != nullptr;
    const auto run = slice_of(features.width) == 32 ? (exact ? launch<32, 2, 1, 2> : launch<32, 1, 1, 2>)
                     : features.padded <= 128       ? (exact ? launch<64, 2, 2, 2> : launch<64, 1, 2, 2>)
                                                    : (exact ? launch<64, 2, 4, 2> : launch<64, 1, 4, 3>);
    run(lists, weights, features, gradient, dots, stream);
}

}  // namespace ndr
