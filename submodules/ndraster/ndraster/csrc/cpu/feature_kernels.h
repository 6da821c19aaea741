// Features of any width as small dense products per sub-tile: maps = weights x features, and both transposes.
// Included once per instruction set, after blend_kernels.h.

namespace ndr::cpu::NDR_ISA {

constexpr int ROW_BLOCK = 4;                                          // pairs per pass of the transposed product
constexpr int PAD = PAIR_BLOCK > ROW_BLOCK ? PAIR_BLOCK : ROW_BLOCK;  // stored pairs are padded to a multiple

// Copy between a sub-tile's PX values and an image plane, leaving out what is outside the image.
static inline void put_rows(const float* values, float* plane, const TileTask& t, int px, int py) {
    const int columns = t.width - px < SUB_W ? t.width - px : SUB_W;
    for (int y = 0; y < SUB_H && py + y < t.height; y++)
        memcpy(plane + (size_t)(py + y) * t.width + px, values + y * SUB_W, columns * sizeof(float));
}

static inline void get_rows(const float* plane, float* values, const TileTask& t, int px, int py) {
    if (px + SUB_W <= t.width && py + SUB_H <= t.height) {
        for (int y = 0; y < SUB_H; y++)
            memcpy(values + y * SUB_W, plane + (size_t)(py + y) * t.width + px, SUB_W * sizeof(float));
        return;
    }
    memset(values, 0, PX * sizeof(float));
    const int columns = t.width - px < SUB_W ? t.width - px : SUB_W;
    for (int y = 0; y < SUB_H && py + y < t.height; y++)
        memcpy(values + y * SUB_W, plane + (size_t)(py + y) * t.width + px, columns * sizeof(float));
}

// Pad the stored pairs with zero weights on the last Gaussian, so that blocks are always full.
static inline int padded(Pairs& pairs) {
    const int end = (pairs.count + PAD - 1) / PAD * PAD;
    for (int k = pairs.count; k < end; k++) {
        pairs.position[k] = pairs.position[pairs.count - 1];
        memset(pairs.weight + (size_t)k * PX, 0, PX * sizeof(float));
    }
    return end;
}

// out [CHANNELS, PX] = sum over pairs of weight x feature, for channels from `features` on.
template <int CHANNELS>
static void feature_block(const Pairs& pairs, const int32_t* ids, const float* features, size_t width, float* out) {
    Vec sums[CHANNELS][2] = {};
    for (int k = 0; k < pairs.count; k++) {
        const float* row = features + (size_t)ids[pairs.position[k]] * width;
        const Vec w0 = load(pairs.weight + (size_t)k * PX), w1 = load(pairs.weight + (size_t)k * PX + LANES);
        __builtin_prefetch(row + CHANNELS);  // the next block's
        for (int c = 0; c < CHANNELS; c++) {
            const Vec f = set1(row[c]);
            sums[c][0] = fma(w0, f, sums[c][0]);
            sums[c][1] = fma(w1, f, sums[c][1]);
        }
    }
    for (int c = 0; c < CHANNELS; c++)
        for (int v = 0; v < 2; v++) store(out + c * PX + v * LANES, sums[c][v]);
}

template <int CHANNELS>
static void feature_blocks(int channels, const Pairs& pairs, const int32_t* ids, const float* features, size_t width,
                           float* out) {
    if (channels == CHANNELS) return feature_block<CHANNELS>(pairs, ids, features, width, out);
    if constexpr (CHANNELS > 1) feature_blocks<CHANNELS - 1>(channels, pairs, ids, features, width, out);
}

// The feature map of a sub-tile.
static void features_forward(const Pairs& pairs, const TileTask& task, const ForwardImages& images, int px, int py) {
    const int width = images.feature_width;
    const int blocks = (width + FORWARD_CHANNELS - 1) / FORWARD_CHANNELS;
    const size_t plane = (size_t)task.width * task.height;
    float out[FORWARD_CHANNELS * PX];
    for (int block = 0; block < blocks; block++) {
        const int first = (int)((int64_t)width * block / blocks), end = (int)((int64_t)width * (block + 1) / blocks);
        feature_blocks<FORWARD_CHANNELS>(end - first, pairs, task.ids, images.features + first, width, out);
        for (int c = first; c < end; c++)
            put_rows(out + (c - first) * PX, images.feature_map + c * plane, task, px, py);
    }
}

// pair_gradients [count, PX] = sum over channels of map gradient (panel [width, PX]) x feature. `end`: padded count.
static void pair_products(const Pairs& pairs, int end, const int32_t* ids, const float* features, int width,
                          const float* panel, float* pair_gradients) {
    for (int k = 0; k < end; k += PAIR_BLOCK) {
        const float* rows[PAIR_BLOCK];
        for (int i = 0; i < PAIR_BLOCK; i++) rows[i] = features + (size_t)ids[pairs.position[k + i]] * width;
        Vec sums[PAIR_BLOCK][2] = {};
        for (int c = 0; c < width; c++) {
            const Vec g0 = load(panel + (size_t)c * PX), g1 = load(panel + (size_t)c * PX + LANES);
            for (int i = 0; i < PAIR_BLOCK; i++) {
                const Vec f = set1(rows[i][c]);
                sums[i][0] = fma(g0, f, sums[i][0]);
                sums[i][1] = fma(g1, f, sums[i][1]);
            }
        }
        for (int i = 0; i < PAIR_BLOCK; i++)
            for (int v = 0; v < 2; v++) store(pair_gradients + (size_t)(k + i) * PX + v * LANES, sums[i][v]);
    }
}

// rows [position, stride] += sum over pixels of weight x map gradient, for VECTORS x LANES channels; `transposed`:
// these channels of the panel as [PX, VECTORS * LANES].
template <int VECTORS>
static void gradient_block(const Pairs& pairs, int end, const float* transposed, float* rows, size_t stride) {
    for (int k = 0; k < end; k += ROW_BLOCK) {
        const float* weights = pairs.weight + (size_t)k * PX;
        Vec sums[ROW_BLOCK][VECTORS] = {};
        for (int p = 0; p < PX; p++) {
            Vec g[VECTORS];
            for (int v = 0; v < VECTORS; v++) g[v] = load(transposed + (p * VECTORS + v) * LANES);
            for (int i = 0; i < ROW_BLOCK; i++) {
                const Vec w = set1(weights[i * PX + p]);
                for (int v = 0; v < VECTORS; v++) sums[i][v] = fma(w, g[v], sums[i][v]);
            }
        }
        for (int i = 0; i < ROW_BLOCK; i++) {
            float* row = rows + pairs.position[k + i] * stride;
            for (int v = 0; v < VECTORS; v++) store(row + v * LANES, load(row + v * LANES) + sums[i][v]);
        }
    }
}

template <int VECTORS>
static void gradient_blocks(int vectors, const Pairs& pairs, int end, const float* transposed, float* rows,
                            size_t stride) {
    if (vectors == VECTORS) return gradient_block<VECTORS>(pairs, end, transposed, rows, stride);
    if constexpr (VECTORS > 1) gradient_blocks<VECTORS - 1>(vectors, pairs, end, transposed, rows, stride);
}

static void transpose(const float* panel, int channels, int padded_channels, float* out) {
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < PX; p++) out[p * padded_channels + c] = panel[(size_t)c * PX + p];
    for (int c = channels; c < padded_channels; c++)
        for (int p = 0; p < PX; p++) out[p * padded_channels + c] = 0;
}

// Feature gradients of a sub-tile, added to the rows of the tile's list.
static void features_backward(const Pairs& pairs, int end, const float* panel, int width, float* rows, size_t stride) {
    constexpr int WIDEST = BACKWARD_VECTORS * LANES;
    float transposed[PX * WIDEST];
    for (int first = 0; first < width; first += WIDEST) {
        const int channels = width - first < WIDEST ? width - first : WIDEST, vectors = (channels + LANES - 1) / LANES;
        transpose(panel + (size_t)first * PX, channels, vectors * LANES, transposed);
        gradient_blocks<BACKWARD_VECTORS>(vectors, pairs, end, transposed, rows + first, stride);
    }
}

}  // namespace ndr::cpu::NDR_ISA
