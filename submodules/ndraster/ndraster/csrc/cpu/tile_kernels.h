// A whole 16x16 tile, forward and backward: the kernels the host calls.
// Included once per instruction set, after feature_kernels.h.

namespace ndr::cpu::NDR_ISA {

static inline Pairs stored_pairs(const TileTask& task, Scratch& scratch) {
    const size_t room = (size_t)task.count + PAD;
    return {scratch.sums.ints(room), scratch.weights.floats(room * PX), 0};
}

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

// Every sub-tile of the tile that is in the image: body(px, py).
template <class Body>
static inline void for_subtiles(const TileTask& task, const Body& body) {
    for (int s = 0; s < SUBS; s++) {
        const int px = task.left + s % SUBS_X * SUB_W, py = task.top + s / SUBS_X * SUB_H;
        if (px < task.width && py < task.height) body(px, py);
    }
}

static void forward_tile(const TileTask& task, const ForwardImages& images, Scratch& scratch) {
    Prepared p = prepared(task, scratch);
    const bool with_features = images.feature_width > 0;
    Pairs pairs = stored_pairs(task, scratch);
    for_subtiles(task, [&](int px, int py) {
        pairs.count = 0;
        put_images(with_features ? blend_subtile<true>(p, px, py, &pairs) : blend_subtile<false>(p, px, py, nullptr),
                   images, task, px, py);
        if (with_features) features_forward(pairs, task, images, px, py);
    });
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

// The feature map's gradient at a sub-tile as [width, PX]; remaining (if given) += gradient x map.
static const float* get_panel(const BackwardImages& b, const TileTask& task, int px, int py, Vec* remaining,
                              Scratch& scratch) {
    const size_t plane = (size_t)task.width * task.height;
    float* panel = scratch.panel.floats((size_t)b.feature_width * PX);
    Vec unused[2];
    for (int c = 0; c < b.feature_width; c++) {
        get_rows(b.g_feature_map + c * plane, panel + (size_t)c * PX, task, px, py);
        if (remaining)
            get_gradient(b.g_feature_map + c * plane, b.feature_map + c * plane, false, unused, remaining, task, px,
                         py);
    }
    return panel;
}

// Feature gradients of a sub-tile; -> what they add to dL/dw of each pair (null unless geometry follows them).
static const float* feature_subtile(Prepared& p, const BackwardImages& b, int px, int py, PixelGradients& d,
                                    float* rows, size_t stride, Scratch& scratch) {
    const TileTask& task = *p.task;
    Pairs pairs = stored_pairs(task, scratch);
    blend_subtile<true>(p, px, py, &pairs);
    if (pairs.count == 0) return nullptr;
    const int end = padded(pairs);
    const bool geometry = b.geometry && b.feature_geometry;
    const float* panel = get_panel(b, task, px, py, geometry ? d.remaining : nullptr, scratch);
    if (rows) features_backward(pairs, end, panel, b.feature_width, rows, stride);
    if (!geometry) return nullptr;
    float* pair_gradients = scratch.pair_gradients.floats(((size_t)task.count + PAD) * PX);
    pair_products(pairs, end, task.ids, b.features, b.feature_width, panel, pair_gradients);
    return pair_gradients;
}

static void backward_tile(const TileTask& task, const BackwardImages& b, float* splat_gradients,
                          float* feature_gradients, size_t feature_stride, Scratch& scratch) {
    Prepared p = prepared(task, scratch);
    if (splat_gradients) memset(splat_gradients, 0, (size_t)task.count * GRADIENT_ROW * sizeof(float));
    if (feature_gradients) memset(feature_gradients, 0, task.count * feature_stride * sizeof(float));
    for_subtiles(task, [&](int px, int py) {
        PixelGradients d = {};
        if (b.geometry) d = get_gradients(b, task, px, py);
        const float* pair_gradients = nullptr;
        if (b.g_feature_map)
            pair_gradients = feature_subtile(p, b, px, py, d, feature_gradients, feature_stride, scratch);
        if (b.geometry) backward_subtile(p, px, py, d, pair_gradients, splat_gradients);
    });
}

}  // namespace ndr::cpu::NDR_ISA
