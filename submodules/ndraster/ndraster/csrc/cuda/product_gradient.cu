// dF = W^T G on the matrix units: a block a tile and a slice of channels. The gradient of the tile is read once, scaled
// by a power of two, halved and kept in shared memory; each part of the list then needs its weights as a dense matrix
// [entries x 256 pixels], because one multiply-add takes the same pixels for sixteen entries. The block holds the whole
// sum of a (Gaussian, channel, tile) in registers and sends it off in one reduction.
#include <algorithm>

#include "cuda/products.cuh"

namespace ndr {
namespace {

constexpr int WEIGHT_ROW = TILE_PIXELS + PAD;

// List entries that a block has the weights of: with one narrow slice, more blocks wait for memory at once.
template <int SLICE>
constexpr int ENTRIES = SLICE == 32 ? 64 : 128;

template <int SLICE, int PARTS>
struct GradientStage {
    __half gradient[PARTS][TILE_PIXELS][SLICE + PAD];  // rows: warp after warp, each in the order of pixel_row
    __half weights[PARTS][ENTRIES<SLICE>][WEIGHT_ROW];
    int ids[ENTRIES<SLICE>];
    float largest[SUBTILES];
};

// The words of a chunk's mask that belong to its `part`-th COUNT entries.
template <int COUNT>
__device__ __forceinline__ uint4 part_of(uint4 mask, int part) {
    if constexpr (COUNT == CHUNK) return mask;
    return part ? make_uint4(mask.z, mask.w, 0, 0) : make_uint4(mask.x, mask.y, 0, 0);
}

// Weights of COUNT entries as dense rows; zeros where a warp did not meet one. Four threads bring one row of 64 bytes,
// and neighbours the rows after it. done: rows of each warp before these entries; moved on.
template <int COUNT, int PARTS>
__device__ void copy_dense(const Weights& weights, const uint4* masks, int part, int2 range, int (&done)[SUBTILES],
                           __half (*to)[COUNT][WEIGHT_ROW]) {
    constexpr int AT_ONCE = TILE_PIXELS / 4;  // rows
    const int piece = threadIdx.x % 4 * 8;
#pragma unroll
    for (int s = 0; s < SUBTILES; s++) {
        const uint4 mask = part_of<COUNT>(masks[s], part);
        const unsigned words[4] = {mask.x, mask.y, mask.z, mask.w};
        const size_t first = first_row(range, s) + done[s];
#pragma unroll
        for (int j = 0; j < COUNT / AT_ONCE; j++) {
            const int k = j * AT_ONCE + threadIdx.x / 4;
            int before = 0;
            bool exists = false;
#pragma unroll
            for (int word = 2 * j; word < 2 * j + 2; word++) {  // the words of these 64 entries
                const unsigned below = k / 32 > word ? ALL_LANES : k / 32 == word ? (1u << k % 32) - 1 : 0;
                before += __popc(words[word] & below);
                if (k / 32 == word) exists = words[word] >> k % 32 & 1;
            }
            if (j == 1) before += __popc(words[0]) + __popc(words[1]);
            const size_t from = (first + (exists ? before : 0)) * 32 + piece;
#pragma unroll
            for (int p = 0; p < PARTS; p++) copy16(&to[p][k][32 * s + piece], weights.rows[p] + from, exists);
        }
        done[s] += count_bits(mask);
    }
}

// Channels of the m-th pixel of a quad.
template <bool ENLARGED>
__device__ float4 read_gradient(const GradientMap& map, const PixelQuad& quad, int image_width, int m, int channel) {
    if constexpr (!ENLARGED) return quad.read(map.values, m, channel);
    if (m >= quad.room) return {0, 0, 0, 0};
    const float x = map.across.at(quad.at % image_width + m, map.columns), y = map.down.at(quad.at / image_width, map.rows);
    const int x0 = int(x), y0 = int(y);
    const int x1 = min(x0 + 1, map.columns - 1), y1 = min(y0 + 1, map.rows - 1);
    const float fx = x - x0, fy = y - y0;
    float4 sum = {0, 0, 0, 0};
#pragma unroll
    for (int corner = 0; corner < 4; corner++) {
        const float share = (corner % 2 ? fx : 1 - fx) * (corner / 2 ? fy : 1 - fy);
        const size_t cell = size_t(corner / 2 ? y1 : y0) * map.columns + (corner % 2 ? x1 : x0);
        const float4 v = quad.read4(map.values + cell * map.width, channel);
        sum.x += share * v.x, sum.y += share * v.y, sum.z += share * v.z, sum.w += share * v.w;
    }
    return sum;
}

// The tile's gradient into shared memory, and for the dots into `kept` as fragments; returns its scale.
template <int SLICE, int PARTS, bool ENLARGED>
__device__ float stage_gradient(const PixelQuad& quad, const GradientMap& map, int image_width, int first, int lane, int warp,
                                const PackedGradient& kept, size_t slot, GradientStage<SLICE, PARTS>& stage) {
    float4 v[SLICE / 16][4];  // channels 16 n + 4t .. of pixel 4g + m
    float largest = 0;
#pragma unroll
    for (int n = 0; n < SLICE / 16; n++)
#pragma unroll
        for (int m = 0; m < 4; m++) {
            v[n][m] = read_gradient<ENLARGED>(map, quad, image_width, m, first + 16 * n + 4 * (lane % 4));
            largest = fmaxf(largest, fmaxf(fmaxf(fabsf(v[n][m].x), fabsf(v[n][m].y)), fmaxf(fabsf(v[n][m].z), fabsf(v[n][m].w))));
        }
    largest = warp_max(largest);
    if (lane == 0) stage.largest[warp] = largest;
    __syncthreads();
#pragma unroll
    for (int s = 0; s < SUBTILES; s++) largest = fmaxf(largest, stage.largest[s]);
    const float scale = half_scale(largest);
    if (kept.scales && threadIdx.x == 0) kept.scales[slot] = scale;
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int n = 0; n < SLICE / 16; n++) {
            uint32_t fragment[2][4];  // registers of A for pixel rows 0 to 15 and 16 to 31
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int pair = 0; pair < 2; pair++) {
                    const float a = (pair ? v[n][m].z : v[n][m].x) * scale, b = (pair ? v[n][m].w : v[n][m].y) * scale;
                    const uint32_t both = part == 0 ? pack(high_half(a), high_half(b)) : pack(low_half(a), low_half(b));
                    __half* row = stage.gradient[part][32 * warp + 8 * m + lane / 4];
                    *reinterpret_cast<uint32_t*>(row + 16 * n + 8 * pair + 2 * (lane % 4)) = both;
                    fragment[m / 2][2 * pair + m % 2] = both;
                }
            if (!kept.fragments[0]) continue;
            const size_t at = ((slot * SUBTILES + warp) * (SLICE / 16) + n) * 512 + lane * 16;
#pragma unroll
            for (int m = 0; m < 2; m++)
                reinterpret_cast<uint4*>(kept.fragments[part] + at)[m] =
                    make_uint4(fragment[m][0], fragment[m][1], fragment[m][2], fragment[m][3]);
        }
    return scale;
}

struct Target {  // where sums go
    float* rows;
    int stride;  // floats from row to row
    bool slots;  // a row per list entry, written; else a row per Gaussian, added to
    int first;   // channel of column 0
    __device__ void put(int id, int position, int channel, float4 v) const {
        if (channel - first >= stride) return;
        if (slots) {
            *reinterpret_cast<float4*>(rows + size_t(position) * stride + channel - first) = v;
        } else if (v.x != 0 || v.y != 0 || v.z != 0 || v.w != 0) {
            add4(rows + size_t(id) * stride + channel - first, v);
        }
    }
};

// dF of some entries and a slice: a warp sums a quarter of the entries x half the slice.
template <int SLICE, int PARTS>
__device__ void multiply_part(const GradientStage<SLICE, PARTS>& stage, int start, int size, int first, float undo,
                              int lane, int warp, const Target& target) {
    constexpr int BLOCKS = ENTRIES<SLICE> / 64;  // of sixteen entries
    const int entries = 16 * BLOCKS * (warp / 2), column = SLICE / 2 * (warp % 2);
    if (entries >= size) return;
    float sums[BLOCKS][SLICE / 16][4] = {};
#pragma unroll 2
    for (int p = 0; p < TILE_PIXELS; p += 16) {
        uint32_t a[PARTS][BLOCKS][4];
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int m = 0; m < BLOCKS; m++)
                load_matrices(a[part][m], &stage.weights[part][entries + 16 * m + lane % 16][p + 8 * (lane / 16)]);
#pragma unroll
        for (int n = 0; n < SLICE / 32; n++) {
            uint32_t b[PARTS][4];
#pragma unroll
            for (int part = 0; part < PARTS; part++)
                load_matrices_transposed(b[part], &stage.gradient[part][p + lane % 16][column + 16 * n + 8 * (lane / 16)]);
#pragma unroll
            for (int m = 0; m < BLOCKS; m++) multiply_parts<PARTS>(sums[m][2 * n], sums[m][2 * n + 1], a, m, b);
        }
    }
#pragma unroll
    for (int m = 0; m < BLOCKS; m++)
#pragma unroll
        for (int n = 0; n < SLICE / 32; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int k = entries + 16 * m + 8 * half + lane / 4;
                const auto &low = sums[m][2 * n], &high = sums[m][2 * n + 1];
                const float4 four = make_float4(low[2 * half] * undo, low[2 * half + 1] * undo, high[2 * half] * undo,
                                                high[2 * half + 1] * undo);
                if (k < size) target.put(stage.ids[k], start + k, first + column + 16 * n + 4 * (lane % 4), four);
            }
}

// A block takes `slices` slices of a tile, one after the other. A short list has its weights there all the while.
template <int SLICE, int PARTS, bool ENLARGED>
__global__ void __launch_bounds__(TILE_PIXELS, PARTS == 2 ? 1 : SLICE == 32 ? 3 : 2)
gradient_kernel(TileLists lists, Weights weights, GradientMap map, PackedGradient kept, Target target, int groups,
                int slices, int first_slice) {
    extern __shared__ __align__(16) char shared[];
    auto& stage = *reinterpret_cast<GradientStage<SLICE, PARTS>*>(shared);
    constexpr int COUNT = ENTRIES<SLICE>;
    const int tile = blockIdx.x / groups, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int2 range = lists.ranges[tile];
    if (range.x == range.y) return;
    const PixelQuad quad(lists, tile, warp, lane, map.width);
    const int all_slices = (map.width + SLICE - 1) / SLICE;
    const int from = first_slice + blockIdx.x % groups * slices, to = min(from + slices, all_slices);
    for (int slice = from; slice < to; slice++) {
        const uint4* masks = weights.masks + first_chunk(range, tile) * SUBTILES;
        int done[SUBTILES] = {};
        const bool there = slice > from && range.y - range.x <= COUNT;
        __syncthreads();  // the slice before is no longer in use
        if (!there) copy_dense<COUNT, PARTS>(weights, masks, 0, range, done, stage.weights);  // travels while the gradient is read
        const float scale = stage_gradient<SLICE, PARTS, ENLARGED>(quad, map, lists.width, slice * SLICE, lane, warp, kept,
                                                                   size_t(tile) * all_slices + slice, stage);
        for (int start = range.x; start < range.y; start += COUNT) {
            const int at = start - range.x, part = at % CHUNK / COUNT;
            if (at > 0) {
                if (part == 0) masks += SUBTILES;
                if (!__syncthreads_or(count_bits(part_of<COUNT>(masks[warp], part)))) continue;
                copy_dense<COUNT, PARTS>(weights, masks, part, range, done, stage.weights);
            }
            commit_copies();
            if (threadIdx.x < COUNT && start + threadIdx.x < range.y) stage.ids[threadIdx.x] = lists.ids[start + threadIdx.x];
            if (!ENLARGED && slice + 1 < to) quad.prefetch(map.values, (slice + 1) * SLICE, SLICE, lane % 4);
            wait_copies<0>();
            __syncthreads();
            multiply_part<SLICE, PARTS>(stage, start, min(COUNT, range.y - start), slice * SLICE,
                                        1 / (WEIGHT_SCALE * scale), lane, warp, target);
        }
    }
}

template <int SLICE, int PARTS>
void launch(const TileLists& lists, const Weights& weights, const GradientMap& map, const PackedGradient& kept,
            const Target& target, int slices, int first_slice, cudaStream_t stream) {
    constexpr int BYTES = sizeof(GradientStage<SLICE, PARTS>);
    constexpr int PER_BLOCK = 4;  // slices: fewer fills of the weights, still blocks enough
    const int per_block = std::min(slices, PER_BLOCK), groups = (slices + per_block - 1) / per_block;
    const auto kernel = map.is_read() ? gradient_kernel<SLICE, PARTS, true> : gradient_kernel<SLICE, PARTS, false>;
    C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES));
    kernel<<<lists.tiles_x * lists.tiles_y * groups, TILE_PIXELS, BYTES, stream>>>(lists, weights, map, kept, target, groups,
                                                                                 per_block, first_slice);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void launch_gradient(const TileLists& lists, const Weights& weights, const GradientMap& map, const PackedGradient& kept,
                     const GradientRows& out, cudaStream_t stream) {
    const int slice = slice_of(map.width), slices = blocks_for(map.width, slice);
    const bool exact = weights.rows[1] != nullptr;
    const auto run = slice == 32 ? (exact ? launch<32, 2> : launch<32, 1>) : (exact ? launch<64, 2> : launch<64, 1>);
    const Target target{out.rows, out.stride, out.slots, out.slots ? out.slice * slice : 0};
    run(lists, weights, map, kept, target, out.slots ? 1 : slices, out.slots ? out.slice : 0, stream);
}

}  // namespace ndr
