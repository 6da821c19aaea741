// Gradients of splats, back to front: for a pixel whose outputs are sums of w_i * v_i,
//   Y_i = <gradient, v_i>,   dL/dalpha_i = T_i Y_i - R_i / (1 - alpha_i),   R_i = sum_{j>i} w_j Y_j,
// where R grows from the back and T_i is the final transmittance with the factors 1 - alpha taken out again. Channels
// meet only in Y, so features cost one number per pair here.
//
// Each warp walks the list entries that its 8x4 pixels met, sixteen at a time: first a lane is a pixel and carries T
// and R, leaving dL/dpower and w of every pair in shared memory; then a lane is half a Gaussian and adds up sixteen
// pixels in registers. Only one shuffle per sum is left, and no lane waits for another.
#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {
namespace {

constexpr int SUMS = sizeof(SplatGrad) / sizeof(float);
static_assert(SUMS == 12, "rows of gradients are three float4");
constexpr int BATCH = 16;  // list entries a warp works on at a time

struct PixelGrads {
    float r = 0, g = 0, b = 0, depth = 0, inverse_depth = 0, alpha = 0;

    __device__ PixelGrads(const ImageGrads& images, size_t at, size_t area) {
        if (images.color) r = images.color[at], g = images.color[area + at], b = images.color[2 * area + at];
        if (images.depth) depth = images.depth[at];
        if (images.inverse_depth) inverse_depth = images.inverse_depth[at];
        if (images.alpha) alpha = images.alpha[at];
    }
    __device__ PixelGrads() {}
};

// What a warp keeps in shared memory.
struct WarpStage {
    float4 shape[BATCH], depth[BATCH];  // struct AlphaTerms
    float4 color[BATCH];           // r g b 1/z
    float4 gradient[32];           // of a pixel: r g b depth
    float g_inverse_depth[32];
    float g_power[BATCH][33];      // dL/dpower of (Gaussian, pixel); 33: columns in different banks
    float weight[BATCH][33];
    uint8_t positions[CHUNK];      // in the chunk, of the entries that the warp met
};

// Sums over two lines of eight pixels of the warp's box. DEPTH: whether depths have gradients.
template <bool DEPTH>
__device__ __forceinline__ void add_pixels(const WarpStage& stage, int e, int half, float box_x, float box_y,
                                           float (&v)[SUMS]) {
    const float4 shape = stage.shape[e], depth = stage.depth[e], color = stage.color[e];
    const float3 conic = conic_of(shape, depth);
    float g_x = 0, g_y = 0, abs_x = 0, abs_y = 0, xx = 0, xy = 0, yy = 0, total = 0;
    float r = 0, g = 0, b = 0, z = 0, inverse_z = 0;
#pragma unroll
    for (int line = 0; line < 2; line++) {
        const float dy = shape.y - (box_y + 2 * half + line), b_dy = conic.y * dy, c_dy = conic.z * dy;
        float line_total = 0, line_x = 0;
#pragma unroll
        for (int column = 0; column < 8; column++) {
            const int p = 16 * half + 8 * line + column;
            const float g_power = stage.g_power[e][p], w = stage.weight[e][p];
            const float dx = shape.x - (box_x + column);
            const float along_x = g_power * (conic.x * dx + b_dy), along_y = g_power * (conic.y * dx + c_dy);
            g_x += along_x, g_y += along_y, abs_x += fabsf(along_x), abs_y += fabsf(along_y);
            line_total += g_power;
            const float g_dx = g_power * dx;
            line_x += g_dx, xx += g_dx * dx;
            const float4 gradient = stage.gradient[p];
            r += w * gradient.x, g += w * gradient.y, b += w * gradient.z;
            if constexpr (DEPTH) z += w * gradient.w, inverse_z += w * stage.g_inverse_depth[p];
        }
        total += line_total, xy += line_x * dy, yy += line_total * dy * dy;
    }
    v[0] = -g_x, v[1] = -g_y, v[2] = -0.5f * xx, v[3] = -xy, v[4] = -0.5f * yy;
    v[5] = total * exp2f(-depth.y);
    v[6] = z - inverse_z * color.w * color.w;
    v[7] = r, v[8] = g, v[9] = b, v[10] = abs_x, v[11] = abs_y;
}

__device__ __forceinline__ float dot_of(const FeatureDots& dots, size_t row, int lane) {
    return dots.rows ? __half2float(dots.rows[row * 32 + lane]) : dots.exact_rows[row * 32 + lane];
}

// FEATURES: also the products of the feature map, `dots`. SLOTS: sums go to a row of their own per (entry, warp).
template <bool FEATURES, bool SLOTS, bool DEPTH>
__global__ void __launch_bounds__(TILE_PIXELS)
blend_backward_kernel(TileLists lists, const float* final_transmittance, const int* last_entries, ImageGrads g_images,
                      Weights weights, FeatureDots dots, float* grads) {
    __shared__ WarpStage stages[SUBTILES];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    WarpStage& stage = stages[warp];
    const PixelOfThread pixel(lists, blockIdx.x, threadIdx.x);
    const float px = pixel.x + 0.5f, py = pixel.y + 0.5f;
    const size_t area = size_t(lists.width) * lists.height;
    PixelGrads g;
    float transmittance = 1, behind = 0;  // T after the entry at hand, and R
    int last = 0;                         // entries that this pixel went through
    if (pixel.inside) {
        const size_t at = size_t(pixel.y) * lists.width + pixel.x;
        g = PixelGrads(g_images, at, area), transmittance = final_transmittance[at], last = last_entries[at];
    }
    stage.gradient[lane] = make_float4(g.r, g.g, g.b, g.depth), stage.g_inverse_depth[lane] = g.inverse_depth;
    const int2 range = lists.ranges[blockIdx.x];
    const int chunks = (range.y - range.x + CHUNK - 1) / CHUNK;
    const size_t first = first_chunk(range, blockIdx.x) * SUBTILES + warp, first_of_warp = first_row(range, warp);
    int entry = 0;  // among those that the warp met
    for (int c = 0; c < chunks; c++) entry += count_bits(weights.masks[first + c * SUBTILES]);
    for (int c = chunks - 1; c >= 0; c--) {
        const int met = expand_mask(weights.masks[first + c * SUBTILES], lane, stage.positions);
        __syncwarp();
        for (int base = (met - 1) / BATCH * BATCH; met > 0 && base >= 0; base -= BATCH) {
            const int size = min(BATCH, met - base);
            const int position = range.x + c * CHUNK + (lane % BATCH < size ? stage.positions[base + lane % BATCH] : 0);
            const int id = lists.ids[position];
            if (lane < size) {
                const float4* splat = reinterpret_cast<const float4*>(lists.splats + id);
                const AlphaTerms terms = alpha_terms(splat[0], splat[1]);
                stage.shape[lane] = terms.shape, stage.depth[lane] = terms.depth, stage.color[lane] = splat[2];
            }
            entry -= size;
            if constexpr (FEATURES) {  // where dL/dpower will be
                const float scale = dots.scales[(first + c * SUBTILES) * (CHUNK / DOT_GROUP) + base / DOT_GROUP];
#pragma unroll 8
                for (int i = 0; i < size; i++) stage.g_power[i][lane] = dot_of(dots, first_of_warp + entry + i, lane) * scale;
            }
            __syncwarp();
            for (int i = size - 1; i >= 0; i--) {
                const float4 shape = stage.shape[i], depth = stage.depth[i], color = stage.color[i];
                float raw;
                const float alpha = entry + i < last ? alpha_at(shape, depth, px, py, raw) : 0;
                const float open = 1 / (1 - alpha), before = transmittance * open;
                const float w = alpha * before;
                float y = g.r * color.x + g.g * color.y + g.b * color.z + g.alpha;
                if constexpr (DEPTH) y += g.depth * depth.z + g.inverse_depth * color.w;
                if constexpr (FEATURES) y += stage.g_power[i][lane];
                // the cap at ALPHA_MAX is straight-through
                stage.g_power[i][lane] = alpha > 0 ? raw * (before * y - behind * open) : 0;
                stage.weight[i][lane] = w;
                behind += w * y, transmittance = before;
            }
            __syncwarp();
            float v[SUMS] = {};
            const int e = lane % BATCH, half = lane / BATCH;
            if (e < size) add_pixels<DEPTH>(stage, e, half, pixel.box_x + 0.5f, pixel.box_y + 0.5f, v);
#pragma unroll
            for (int s = 0; s < SUMS; s++) v[s] += __shfl_xor_sync(ALL_LANES, v[s], BATCH);
            if (e < size) {
                float* sums = grads + SUMS * (SLOTS ? size_t(position) * SUBTILES + warp : size_t(id));
                const auto put = [&](int q) {
                    const float4 four = make_float4(v[4 * q], v[4 * q + 1], v[4 * q + 2], v[4 * q + 3]);
                    if constexpr (SLOTS)
                        reinterpret_cast<float4*>(sums)[q] = four;
                    else
                        add4(sums + 4 * q, four);
                };
                if (half == 0) put(0), put(1);
                else put(2);
            }
            __syncwarp();
        }
    }
}

}  // namespace

void launch_blend_backward(const TileLists& lists, const float* transmittance, const int* last_entries,
                           const ImageGrads& g_images, const Weights& weights, const FeatureDots& dots, float* grads,
                           bool slots, cudaStream_t stream) {
    const bool depth = g_images.depth || g_images.inverse_depth;
    const auto choose = [&]<bool FEATURES, bool SLOTS>() {
        return depth ? blend_backward_kernel<FEATURES, SLOTS, true> : blend_backward_kernel<FEATURES, SLOTS, false>;
    };
    const auto kernel = dots.scales ? (slots ? choose.operator()<true, true>() : choose.operator()<true, false>())
                                    : (slots ? choose.operator()<false, true>() : choose.operator()<false, false>());
    kernel<<<lists.tiles_x * lists.tiles_y, TILE_PIXELS, 0, stream>>>(lists, transmittance, last_entries, g_images,
                                                                        weights, dots, grads);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
