// A feature map sampled at other points: a cell of outputs at a time, each the bilinear mean of four source pixels. The
// resampling is folded into the weights, so the products have a row per output and the full-size map never exists.
// Included once per instruction set, after tile_kernels.h.

namespace ndr::cpu::NDR_ISA {

constexpr int OUTPUTS = PX / 4;  // of a group; lane = corner * OUTPUTS + output
constexpr int GROUPS = SAMPLE_CELL * SAMPLE_CELL / OUTPUTS;

// The source pixels of some outputs of a cell, and their shares in them (0: no such output or source).
struct Group {
    Region at;
    float share[PX];
    bool wanted;
};

static Group sample_group(const SampleTask& task, int group) {
    Group g = {};
    float x[PX], y[PX];
    for (int lane = 0; lane < PX; lane++) {
        const int output = group * OUTPUTS + lane % OUTPUTS, corner = lane / OUTPUTS;
        const int column = task.first_column + output % SAMPLE_CELL, row = task.first_row + output / SAMPLE_CELL;
        const bool exists = column < task.map_columns && row < task.map_rows;
        const Lerp across = task.columns[exists ? column : task.first_column];
        const Lerp down = task.rows[exists ? row : task.first_row];
        x[lane] = (corner & 1 ? across.high : across.low) + 0.5f;
        y[lane] = (corner & 2 ? down.high : down.low) + 0.5f;
        g.share[lane] = (corner & 1 ? across.t : 1 - across.t) * (corner & 2 ? down.t : 1 - down.t);
        if (!exists) g.share[lane] = 0;
        g.wanted |= exists;
    }
    Region& at = g.at;
    at.left = at.right = x[0], at.top = at.bottom = y[0];
    for (int lane = 1; lane < PX; lane++) {
        at.left = fminf(at.left, x[lane]), at.right = fmaxf(at.right, x[lane]);
        at.top = fminf(at.top, y[lane]), at.bottom = fmaxf(at.bottom, y[lane]);
    }
    for (int v = 0; v < 2; v++) {
        at.x[v] = load(x + v * LANES), at.y[v] = load(y + v * LANES);
        at.inside[v] = gt(load(g.share + v * LANES), set1(0));
    }
    return g;
}

// The pairs of a cell, and their weights folded to outputs: [total][PX], of which the first OUTPUTS are used.
struct CellPairs {
    Group groups[GROUPS];
    TilePairs pairs;
    float* folded;
};

static void fold(const Pairs& pairs, const float* share, float* folded) {
    const Vec first = load(share), second = load(share + LANES);
    for (int k = 0; k < pairs.count; k++) {
        const float* weight = pairs.weight + (size_t)k * PX;
        float both_rows[LANES];
        store(both_rows, fma(load(weight), first, load(weight + LANES) * second));
        for (int j = 0; j < OUTPUTS; j++) folded[(size_t)k * PX + j] = both_rows[j] + both_rows[OUTPUTS + j];
    }
}

static CellPairs cell_pairs(Prepared& p, const SampleTask& task, Scratch& scratch) {
    CellPairs c;
    c.pairs = region_pairs(task.tile, GROUPS, scratch, [&](int g, Pairs& pairs) {
        c.groups[g] = sample_group(task, g);
        if (c.groups[g].wanted) blend<false, true>(p, c.groups[g].at, &pairs);
    });
    c.folded = scratch.folded.floats((size_t)c.pairs.total * PX);
    for (int g = 0; g < GROUPS; g++)
        fold(c.pairs.subs[g], c.groups[g].share, c.folded + offset(c.pairs, g));
    return c;
}

// body(output of the cell, its position in a plane of the map), for the outputs that exist.
template <class Body>
static inline void for_outputs(const SampleTask& task, const Body& body) {
    for (int output = 0; output < SAMPLE_CELL * SAMPLE_CELL; output++) {
        const int column = task.first_column + output % SAMPLE_CELL, row = task.first_row + output / SAMPLE_CELL;
        if (column < task.map_columns && row < task.map_rows) body(output, (size_t)row * task.map_columns + column);
    }
}

static void sample_forward(const SampleTask& task, const SampleImages& images, Scratch& scratch) {
    Prepared p = prepared(task.tile, scratch);
    const CellPairs c = cell_pairs(p, task, scratch);
    const size_t plane = (size_t)task.map_columns * task.map_rows;
    float* rows = scratch.rows.floats((size_t)c.pairs.longest * PX);
    float out[SAMPLE_CELL * SAMPLE_CELL * PX];
    for (int first = 0; first < images.feature_width; first += PX) {
        const int channels = chunk(images.feature_width, first);
        memset(out, 0, sizeof out);
        for (int g = 0; g < GROUPS; g++) {
            const Pairs& pairs = c.pairs.subs[g];
            gather(pairs, task.tile.ids, images.features, images.feature_width, first, rows);
            product<true>(OUTPUTS, c.folded + offset(c.pairs, g), rows, pairs.count, channels,
                          {out + g * OUTPUTS * PX});
        }
        for_outputs(task, [&](int output, size_t at) {
            for (int i = 0; i < channels; i++) images.map[(first + i) * plane + at] = out[output * PX + i];
        });
    }
}

// From gradients per output to gradients per source pixel.
static void spread(const Pairs& pairs, const float* share, float* gradients) {
    for (int k = 0; k < pairs.count; k++) {
        float outputs[OUTPUTS], *row = gradients + (size_t)k * PX;
        memcpy(outputs, row, sizeof outputs);
        for (int lane = 0; lane < PX; lane++) row[lane] = share[lane] * outputs[lane % OUTPUTS];
    }
}

static void sample_geometry(Prepared& p, const CellPairs& c, float* pair_gradients, float* rows) {
    memset(rows, 0, (size_t)p.task->count * GRADIENT_ROW * sizeof(float));
    for (int g = 0; g < GROUPS; g++) {
        const Pairs& pairs = c.pairs.subs[g];
        if (pairs.count == 0) continue;
        float* gradients = pair_gradients + offset(c.pairs, g);
        PixelGradients d = {};
        spread(pairs, c.groups[g].share, gradients);
        add_remaining(pairs, gradients, d.remaining);
        blend_backward(p, c.groups[g].at, d, gradients, rows);
    }
}

static void sample_backward(const SampleTask& task, const SampleImages& images, const TileRows& out, Scratch& scratch) {
    Prepared p = prepared(task.tile, scratch);
    const CellPairs c = cell_pairs(p, task, scratch);
    const size_t plane = (size_t)task.map_columns * task.map_rows, pair_floats = (size_t)c.pairs.total * PX;
    float* rows = scratch.rows.floats((size_t)c.pairs.longest * PX);
    float* pair_gradients = out.splats ? scratch.pair_gradients.floats(pair_floats) : nullptr;
    float by_output[SQUARE * GROUPS] = {}, by_channel[SQUARE] = {};  // the map's gradient: rows of channels, of outputs
    memset(out.features, 0, task.tile.count * out.feature_stride * sizeof(float));
    if (pair_gradients) memset(pair_gradients, 0, pair_floats * sizeof(float));
    for (int first = 0; first < images.feature_width; first += PX) {
        const int channels = chunk(images.feature_width, first);
        for_outputs(task, [&](int output, size_t at) {
            for (int i = 0; i < channels; i++) by_output[output * PX + i] = images.g_map[(first + i) * plane + at];
        });
        for (int g = 0; g < GROUPS; g++) {
            const Pairs& pairs = c.pairs.subs[g];
            const float* gradient = by_output + g * OUTPUTS * PX;
            product<false>(pairs.count, c.folded + offset(c.pairs, g), gradient, OUTPUTS, channels,
                           {out.features + first, out.feature_stride, pairs.position});
            if (pair_gradients == nullptr) continue;
            for (int i = 0; i < channels; i++)
                for (int j = 0; j < OUTPUTS; j++) by_channel[i * PX + j] = gradient[j * PX + i];
            gather(pairs, task.tile.ids, images.features, images.feature_width, first, rows);
            product<false>(pairs.count, rows, by_channel, channels, OUTPUTS, {pair_gradients + offset(c.pairs, g)});
        }
    }
    if (pair_gradients) sample_geometry(p, c, pair_gradients, out.splats);
}

}  // namespace ndr::cpu::NDR_ISA
