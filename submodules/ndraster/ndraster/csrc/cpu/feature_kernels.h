// Features of any width, PX channels at a time for a whole tile: maps = weights x features, and both transposes, as
// dense products per sub-tile over its own compacted pairs.
// Included once per instruction set, after product_kernels.h.

namespace ndr::cpu::NDR_ISA {

constexpr size_t SQUARE = (size_t)PX * PX;  // a sub-tile's PX channels or pixels by PX

static inline int chunk(int width, int first) { return width - first < PX ? width - first : PX; }

// The pairs of every region of a tile (or of a cell of a sampled map), kept until all channels are done.
struct TilePairs {
    Pairs subs[SUBS];
    int total, longest;
};

// blend_one(s, pairs) fills the pairs of region s, of at most SUBS.
template <class BlendOne>
static TilePairs region_pairs(const TileTask& task, int regions, Scratch& scratch, const BlendOne& blend_one) {
    const size_t room = (size_t)task.count * regions + 1;  // one more: a pair is written before it is kept
    int* positions = scratch.positions.ints(room);
    float* weights = scratch.weights.floats(room * PX);
    TilePairs t = {};
    for (int s = 0; s < regions; s++) {
        Pairs& pairs = t.subs[s];
        pairs = {positions + t.total, weights + (size_t)t.total * PX, 0};
        blend_one(s, pairs);
        t.total += pairs.count;
        if (pairs.count > t.longest) t.longest = pairs.count;
    }
    return t;
}

// The same for the sub-tiles in the image: blend_one(region, px, py, pairs).
template <class BlendOne>
static TilePairs tile_pairs(const TileTask& task, Scratch& scratch, const BlendOne& blend_one) {
    return region_pairs(task, SUBS, scratch, [&](int s, Pairs& pairs) {
        const int px = task.left + s % SUBS_X * SUB_W, py = task.top + s / SUBS_X * SUB_H;
        if (px < task.width && py < task.height) blend_one(subtile(task, px, py), px, py, pairs);
    });
}

static TilePairs weight_pairs(Prepared& p, Scratch& scratch) {
    return tile_pairs(*p.task, scratch,
                      [&](const Region& at, int, int, Pairs& pairs) { blend<false, true>(p, at, &pairs); });
}

// Where a region's rows begin in an array of PX floats per pair.
static inline size_t offset(const TilePairs& t, int s) { return t.subs[s].weight - t.subs[0].weight; }

// Channels first .. of the pairs' features -> rows [pairs.count][PX], zero beyond the last channel.
static void gather(const Pairs& pairs, const int32_t* ids, const float* features, int width, int first, float* rows) {
    constexpr int AHEAD = 16;
    const int channels = chunk(width, first);
    for (int k = 0; k < pairs.count; k++) {
        if (k + AHEAD < pairs.count) {
            const float* next = features + (size_t)ids[pairs.position[k + AHEAD]] * width + first;
            __builtin_prefetch(next), __builtin_prefetch(next + channels - 1);
        }
        const float* from = features + (size_t)ids[pairs.position[k]] * width + first;
        float* to = rows + (size_t)k * PX;
        if (channels == PX) {
            for (int v = 0; v < 2; v++) store(to + v * LANES, load(from + v * LANES));
        } else {
            memcpy(to, from, channels * sizeof(float));
            memset(to + channels, 0, (PX - channels) * sizeof(float));
        }
    }
}

// Copy between a sub-tile's PX values and an image plane, leaving out what is outside the image.
static inline void put_rows(const float* values, float* plane, const TileTask& t, int px, int py) {
    if (px >= t.width) return;
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
    if (px >= t.width) return;
    const int columns = t.width - px < SUB_W ? t.width - px : SUB_W;
    for (int y = 0; y < SUB_H && py + y < t.height; y++)
        memcpy(values + y * SUB_W, plane + (size_t)(py + y) * t.width + px, columns * sizeof(float));
}

// Rows of 8 px of a tile: body(where it is in `squares` [SUBS][PX][PX px], where in an image plane).
template <class Body>
static inline void for_pieces(const TileTask& task, const Body& body) {
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < SUBS_X; x++)
            body((y / SUB_H * SUBS_X + x) * SQUARE + y % SUB_H * SUB_W,
                 (size_t)(task.top + y) * task.width + task.left + x * SUB_W);
}

static inline bool whole(const TileTask& task) {
    return task.left + TILE <= task.width && task.top + TILE <= task.height;
}

// One channel of a tile from its squares to an image plane.
static void put_channel(const float* squares, float* plane, const TileTask& task) {
    if (whole(task) && task.width % TILE == 0 && (uintptr_t)plane % (TILE * sizeof(float)) == 0) {  // whole cache lines
        for_pieces(task, [&](size_t from, size_t to) { stream8(plane + to, squares + from); });
        return;
    }
    for (int s = 0; s < SUBS; s++)
        put_rows(squares + s * SQUARE, plane, task, task.left + s % SUBS_X * SUB_W, task.top + s / SUBS_X * SUB_H);
}

// One channel of a tile from an image plane to `tile` [chunks][SUBS][PX channels][PX px], zero outside the image.
static void load_channel(const TileTask& task, const float* plane, int channel, float* tile) {
    float* squares = tile + channel / PX * (SUBS * SQUARE) + channel % PX * PX;
    if (whole(task)) {
        for_pieces(task, [&](size_t to, size_t from) { memcpy(squares + to, plane + from, SUB_W * sizeof(float)); });
        return;
    }
    for (int s = 0; s < SUBS; s++)
        get_rows(plane, squares + s * SQUARE, task, task.left + s % SUBS_X * SUB_W, task.top + s / SUBS_X * SUB_H);
}

// The feature map of a tile.
static void features_forward(const TilePairs& t, const TileTask& task, const ForwardImages& images, Scratch& scratch) {
    const int width = images.feature_width;
    const size_t plane = (size_t)task.width * task.height;
    float *squares = scratch.panel.floats(SUBS * SQUARE), *rows = scratch.rows.floats((size_t)t.longest * PX);
    for (int first = 0; first < width; first += PX) {
        const int channels = chunk(width, first);
        memset(squares, 0, SUBS * SQUARE * sizeof(float));
        for (int s = 0; s < SUBS; s++) {
            const Pairs& pairs = t.subs[s];
            gather(pairs, task.ids, images.features, width, first, rows);
            product<true>(channels, rows, pairs.weight, pairs.count, PX, {squares + s * SQUARE});
        }
        for (int c = 0; c < channels; c++)
            put_channel(squares + c * PX, images.feature_map + (first + c) * plane, task);
    }
    fence();
}

// Both transposed products of a tile. pair_gradients: dL/dw of each pair [t.total][PX], set, or null.
static void features_backward(const TilePairs& t, const TileTask& task, const BackwardImages& b, const TileRows& out,
                              float* pair_gradients, Scratch& scratch) {
    const int width = b.feature_width;
    float* rows = scratch.rows.floats((size_t)t.longest * PX);
    float turned[SQUARE];
    memset(out.features, 0, task.count * out.feature_stride * sizeof(float));
    if (pair_gradients) memset(pair_gradients, 0, (size_t)t.total * PX * sizeof(float));
    for (int first = 0; first < width; first += PX) {
        const int channels = chunk(width, first);
        for (int s = 0; s < SUBS; s++) {
            const Pairs& pairs = t.subs[s];
            const float* square = out.map_gradient + (first / PX * SUBS + s) * SQUARE;
            transpose(square, turned);
            product<false>(pairs.count, pairs.weight, turned, PX, channels,
                           {out.features + first, out.feature_stride, pairs.position});
            if (pair_gradients == nullptr) continue;
            gather(pairs, task.ids, b.features, width, first, rows);
            product<false>(pairs.count, rows, square, channels, PX, {pair_gradients + offset(t, s)});
        }
    }
}

// remaining += sum over pairs of weight x dL/dw.
static void add_remaining(const Pairs& pairs, const float* pair_gradients, Vec remaining[2]) {
    for (int k = 0; k < pairs.count; k++)
        for (int v = 0; v < 2; v++) {
            const size_t at = (size_t)k * PX + v * LANES;
            remaining[v] = fma(load(pairs.weight + at), load(pair_gradients + at), remaining[v]);
        }
}

}  // namespace ndr::cpu::NDR_ISA
