// Sums over a tile's pixels of weight x teacher, with the teacher upsampled where it is read.
// Included once per instruction set, after tile_kernels.h.

namespace ndr::cpu::NDR_ISA {

constexpr int FOLD_LIMIT = 64;  // teacher pixels under a tile, up to which the upsampling is folded into the weights

// The teacher's pixels under a tile.
struct TeacherBox {
    int left, top, width, height;
    int count() const { return width * height; }
};

static TeacherBox teacher_box(const TileTask& task, const LiftImages& images) {
    const int last_x = (task.left + TILE < task.width ? task.left + TILE : task.width) - 1;
    const int last_y = (task.top + TILE < task.height ? task.top + TILE : task.height) - 1;
    const int left = images.columns[task.left].low, top = images.rows[task.top].low;
    return {left, top, images.columns[last_x].high - left + 1, images.rows[last_y].high - top + 1};
}

// body(pixel of the sub-tile, teacher column and row, share), four times for each pixel in the image.
template <class Body>
static inline void for_shares(const TileTask& task, const LiftImages& images, int s, const Body& body) {
    for (int i = 0; i < PX; i++) {
        const int x = task.left + s % SUBS_X * SUB_W + i % SUB_W, y = task.top + s / SUBS_X * SUB_H + i / SUB_W;
        if (x >= task.width || y >= task.height) continue;
        const Lerp across = images.columns[x], down = images.rows[y];
        body(i, across.low, down.low, (1 - across.t) * (1 - down.t));
        body(i, across.high, down.low, across.t * (1 - down.t));
        body(i, across.low, down.high, (1 - across.t) * down.t);
        body(i, across.high, down.high, across.t * down.t);
    }
}

// Weights of every list entry on the box's teacher pixels: [chunks of PX teacher pixels][count][PX].
static const float* fold_tile(const TilePairs& t, const TileTask& task, const LiftImages& images, const TeacherBox& box,
                              Scratch& scratch) {
    const size_t block = (size_t)task.count * PX;
    const int blocks = (box.count() + PX - 1) / PX;
    float* folded = scratch.folded.floats(blocks * block);
    float* shares = scratch.panel.floats(blocks * SQUARE);  // [blocks][pixels][PX teacher pixels]
    memset(folded, 0, blocks * block * sizeof(float));
    for (int s = 0; s < SUBS; s++) {
        const Pairs& pairs = t.subs[s];
        if (pairs.count == 0) continue;
        memset(shares, 0, blocks * SQUARE * sizeof(float));
        for_shares(task, images, s, [&](int i, int x, int y, float share) {
            const int q = (y - box.top) * box.width + x - box.left;
            shares[q / PX * SQUARE + i * PX + q % PX] += share;
        });
        for (int k = 0; k < blocks; k++)
            product<false>(pairs.count, pairs.weight, shares + k * SQUARE, PX, chunk(box.count(), k * PX),
                           {folded + k * block, PX, pairs.position});
    }
    return folded;
}

static void lift_folded(const TilePairs& t, const TileTask& task, const LiftImages& images, const TeacherBox& box,
                        const TileRows& out, Scratch& scratch) {
    const float* folded = fold_tile(t, task, images, box, scratch);
    float values[SQUARE];
    for (int first = 0; first < images.channels; first += PX) {
        for (int q = 0; q < box.count(); q += PX) {
            const int pixels = chunk(box.count(), q);
            for (int i = 0; i < pixels; i++) {
                const int x = box.left + (q + i) % box.width, y = box.top + (q + i) / box.width;
                const size_t row = (size_t)y * images.teacher_columns + x;
                memcpy(values + i * PX, images.teacher + row * images.stride + first, PX * sizeof(float));
            }
            product<false>(task.count, folded + q / PX * ((size_t)task.count * PX), values, pixels,
                           chunk(images.channels, first), {out.features + first, out.feature_stride});
        }
    }
}

// A teacher about as large as the image: its value at every pixel.
static void lift_pixels(const TilePairs& t, const TileTask& task, const LiftImages& images, const TileRows& out) {
    float values[SQUARE];
    for (int first = 0; first < images.channels; first += PX) {
        for (int s = 0; s < SUBS; s++) {
            const Pairs& pairs = t.subs[s];
            if (pairs.count == 0) continue;
            memset(values, 0, sizeof values);
            for_shares(task, images, s, [&](int i, int x, int y, float share) {
                const float* from = images.teacher + ((size_t)y * images.teacher_columns + x) * images.stride + first;
                float* to = values + i * PX;
                for (int v = 0; v < PX; v += LANES) store(to + v, fma(set1(share), load(from + v), load(to + v)));
            });
            product<false>(pairs.count, pairs.weight, values, PX, chunk(images.channels, first),
                           {out.features + first, out.feature_stride, pairs.position});
        }
    }
}

static void lift_tile(const TileTask& task, const LiftImages& images, const TileRows& out, Scratch& scratch) {
    Prepared p = prepared(task, scratch);
    const TilePairs t = weight_pairs(p, scratch);
    const TeacherBox box = teacher_box(task, images);
    memset(out.features, 0, task.count * out.feature_stride * sizeof(float));
    if (box.count() <= FOLD_LIMIT)
        lift_folded(t, task, images, box, out, scratch);
    else
        lift_pixels(t, task, images, out);
}

}  // namespace ndr::cpu::NDR_ISA
