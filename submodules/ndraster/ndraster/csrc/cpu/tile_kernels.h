// A whole 16x16 tile, forward and backward: the kernels the host calls.
// Included once per instruction set, after feature_kernels.h.

namespace ndr::cpu::NDR_ISA {

static void put(const Vec values[2], float* plane, const TileTask& task, int px, int py) {
    float buffer[PX];
    for (int v = 0; v < 2; v++) store(buffer + v * LANES, values[v]);
    put_rows(buffer, plane, task, px, py);
}

static void put_images(const Blend& o, const ForwardImages& images, const TileTask& task, int px, int py) {
    const size_t plane = (size_t)task.width * task.height;
    put(o.r, images.color, task, px, py);
    put(o.g, images.color + plane, task, px, py);
    put(o.b, images.color + 2 * plane, task, px, py);
    put(o.depth, images.depth, task, px, py);
    put(o.inverse_depth, images.inverse_depth, task, px, py);
    put(o.transmittance, images.transmittance, task, px, py);
    put(o.median, (float*)images.median_ids, task, px, py);  // moved as bits
}

static void forward_tile(const TileTask& task, const ForwardImages& images, Scratch& scratch) {
    Prepared p = prepared(task, scratch);
    const bool with_features = images.feature_width > 0;
    const TilePairs t = tile_pairs(task, scratch, [&](const Region& at, int px, int py, Pairs& pairs) {
        const Blend o = with_features ? blend<true, true>(p, at, &pairs) : blend<true, false>(p, at, nullptr);
        put_images(o, images, task, px, py);
    });
    if (with_features) features_forward(t, task, images, scratch);
}

// values = an image gradient at the sub-tile (zero when absent); remaining += values x image (or 1 - image).
static void get_gradient(const float* gradient, const float* image, bool one_minus, Vec values[2], Vec remaining[2],
                         const TileTask& task, int px, int py) {
    float g[PX], forward[PX];
    values[0] = values[1] = set1(0);
    if (gradient == nullptr) return;
    get_rows(gradient, g, task, px, py);
    get_rows(image, forward, task, px, py);
    for (int v = 0; v < 2; v++) {
        const Vec f = load(forward + v * LANES);
        values[v] = load(g + v * LANES);
        remaining[v] = fma(values[v], one_minus ? set1(1) - f : f, remaining[v]);
    }
}

static PixelGradients get_gradients(const BackwardImages& b, const TileTask& task, int px, int py) {
    const size_t plane = (size_t)task.width * task.height;
    PixelGradients d;
    Vec* const rgb[3] = {d.r, d.g, d.b};
    d.remaining[0] = d.remaining[1] = set1(0);
    for (int c = 0; c < 3; c++)
        get_gradient(b.g_color ? b.g_color + c * plane : nullptr, b.color + c * plane, false, rgb[c], d.remaining, task,
                     px, py);
    get_gradient(b.g_depth, b.depth, false, d.depth, d.remaining, task, px, py);
    get_gradient(b.g_inverse_depth, b.inverse_depth, false, d.inverse_depth, d.remaining, task, px, py);
    get_gradient(b.g_alpha, b.transmittance, true, d.alpha, d.remaining, task, px, py);
    return d;
}

// Geometry of a tile after its features; pair_gradients as features_backward left them, or null.
static void geometry_backward(Prepared& p, const TilePairs& t, const BackwardImages& b, const float* pair_gradients,
                              float* rows) {
    const TileTask& task = *p.task;
    for (int s = 0; s < SUBS; s++) {
        const int px = task.left + s % SUBS_X * SUB_W, py = task.top + s / SUBS_X * SUB_H;
        if (px >= task.width || py >= task.height) continue;
        PixelGradients d = get_gradients(b, task, px, py);
        const float* gradients = pair_gradients ? pair_gradients + offset(t, s) : nullptr;
        if (gradients) add_remaining(t.subs[s], gradients, d.remaining);
        blend_backward(p, subtile(task, px, py), d, gradients, rows);
    }
}

static void backward_tile(const TileTask& task, const BackwardImages& b, const TileRows& rows, Scratch& scratch) {
    Prepared p = prepared(task, scratch);
    TilePairs t = {};
    float* pair_gradients = nullptr;
    if (b.g_feature_map) {
        t = weight_pairs(p, scratch);
        if (b.geometry && b.feature_geometry) pair_gradients = scratch.pair_gradients.floats((size_t)t.total * PX);
        features_backward(t, task, b, rows, pair_gradients, scratch);
    }
    if (!b.geometry) return;
    memset(rows.splats, 0, (size_t)task.count * GRADIENT_ROW * sizeof(float));
    geometry_backward(p, t, b, pair_gradients, rows.splats);
}

}  // namespace ndr::cpu::NDR_ISA
