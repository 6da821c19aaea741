// Blending of one region, two vectors of pixels (a sub-tile, 8 px wide, or the source pixels of a sampled map):
// culling, alpha, colour, and the backward over pairs.
// Included once per instruction set, after its vec_*.h.

namespace ndr::cpu::NDR_ISA {

constexpr int PX = 2 * LANES;  // pixels of a region
constexpr int SUB_W = 8;
constexpr int SUB_H = PX / SUB_W;
constexpr int SUBS_X = TILE / SUB_W, SUBS = SUBS_X * (TILE / SUB_H);
constexpr int BLOCK = 64;  // Gaussians culled at a time, between checks for saturation
constexpr int CULL_FIELDS = 8;
constexpr float LOG2_E = 1.4426950408889634f;

// A Gaussian as the pixel loops read it; the conic is scaled: alpha = opacity * 2^(xx dx^2 + xy dx dy + yy dy^2).
struct Local {
    float x, y, xx, xy, yy, opacity;
    float r, g, b, z, inverse_z, unused;
};

// The tile's list, copied block by block as far as the pixels ask for it.
struct Prepared {
    const TileTask* task;
    Local* local;
    float* cull;  // CULL_FIELDS planes for the box test
    int stride, ready;
    int* list;  // what the last cull found
};

static inline Prepared prepared(const TileTask& task, Scratch& scratch) {
    Prepared p;
    p.task = &task;
    p.stride = (task.count + BLOCK - 1) / BLOCK * BLOCK + BLOCK;
    p.local = (Local*)scratch.local.floats((size_t)p.stride * (sizeof(Local) / sizeof(float)));
    p.cull = scratch.cull.floats((size_t)p.stride * CULL_FIELDS);
    p.ready = 0;
    p.list = scratch.list.ints(BLOCK + LANES);
    return p;
}

static inline void prepare_one(Prepared& p, int i) {
    const Splat& s = p.task->splats[p.task->ids[i]];
    const float fields[CULL_FIELDS] = {
        s.x, s.y, s.conic_xx, 2 * s.conic_xy, s.conic_yy, s.reach2, -s.conic_xy / s.conic_yy, -s.conic_xy / s.conic_xx};
    for (int f = 0; f < CULL_FIELDS; f++) p.cull[f * (size_t)p.stride + i] = fields[f];
    p.local[i] = {s.x,
                  s.y,
                  -0.5f * LOG2_E * s.conic_xx,
                  -LOG2_E * s.conic_xy,
                  -0.5f * LOG2_E * s.conic_yy,
                  s.opacity,
                  s.r,
                  s.g,
                  s.b,
                  s.z,
                  s.inverse_z,
                  0};
}

static void prepare(Prepared& p, int end) {
    constexpr int AHEAD = 12;
    for (int i = p.ready; i < end; i++) {
        if (i + AHEAD < p.task->count) {
            const char* next = (const char*)&p.task->splats[p.task->ids[i + AHEAD]];
            __builtin_prefetch(next), __builtin_prefetch(next + sizeof(Splat) - 1);
        }
        if (i < p.task->count)
            prepare_one(p, i);
        else
            for (int f = 0; f < CULL_FIELDS; f++) p.cull[f * (size_t)p.stride + i] = f == 5 ? -1.0f : 1.0f;  // no reach
    }
    p.ready = end;
}

// box_distance2 of projection.h for LANES Gaussians: which of them reach the box of pixel centres.
static inline Mask touch(const float* c, size_t stride, float x0, float y0, float x1, float y1) {
    const Vec x = load(c), y = load(c + stride), xx = load(c + 2 * stride), xy2 = load(c + 3 * stride);
    const Vec yy = load(c + 4 * stride), reach2 = load(c + 5 * stride), zero = set1(0);
    const Vec left = set1(x0) - x, right = set1(x1) - x, top = set1(y0) - y, bottom = set1(y1) - y;
    const Vec dx = min(max(zero, left), right), dy = min(max(zero, top), bottom);  // nearest of the box to the mean
    const Vec ey = min(max(load(c + 6 * stride) * dx, top), bottom);  // minimum on the facing vertical edge
    const Vec ex = min(max(load(c + 7 * stride) * dy, left), right);  // and on the horizontal one
    const Vec on_vertical = fma(fma(xx, dx, xy2 * ey), dx, yy * ey * ey);
    const Vec on_horizontal = fma(fma(xx, ex, xy2 * dy), ex, yy * dy * dy);
    return ge(reach2, min(on_vertical, on_horizontal));
}

// Pixel centres, which of them count, and the box around them.
struct Region {
    Vec x[2], y[2];
    Mask inside[2];
    float left, top, right, bottom;
};

static inline Region subtile(const TileTask& task, int px, int py) {
    Region r;
    float x[PX], y[PX];
    for (int i = 0; i < PX; i++) x[i] = px + i % SUB_W + 0.5f, y[i] = py + i / SUB_W + 0.5f;
    for (int v = 0; v < 2; v++) {
        r.x[v] = load(x + v * LANES), r.y[v] = load(y + v * LANES);
        r.inside[v] = both(gt(set1((float)task.width), r.x[v]), gt(set1((float)task.height), r.y[v]));
    }
    r.left = x[0], r.top = y[0], r.right = x[PX - 1], r.bottom = y[PX - 1];
    return r;
}

// Gaussians first .. first + BLOCK that reach the region -> p.list, in depth order.
static inline int cull(Prepared& p, int first, const Region& at) {
    if (p.ready < first + BLOCK) prepare(p, first + BLOCK);
    int count = 0;
    for (int i = first; i < first + BLOCK; i += LANES)
        count += append(p.list + count, i, touch(p.cull + i, p.stride, at.left, at.top, at.right, at.bottom));
    return count;
}

// 2^x for x <= 0, 1 to 2 ulp: degree 5 on [-0.5, 0.5] (minimax), exponent added to the bits.
static inline Vec exp2_negative(Vec x) {
    const Vec shift = set1(12582912.0f);  // 1.5 * 2^23: the sum's low bits are round(x)
    x = max(x, set1(-100.0f));            // far below ALPHA_MIN; also where NaN goes
    const Vec shifted = x + shift, f = x - (shifted - shift);
    Vec r = set1(1.32647261e-3f);
    r = fma(r, f, set1(9.67151299e-3f));
    r = fma(r, f, set1(5.55073358e-2f));
    r = fma(r, f, set1(2.40222424e-1f));
    r = fma(r, f, set1(6.93147004e-1f));
    r = fma(r, f, set1(1.0f));
    return times_power(r, shifted);
}

// Alpha before the cap. Forward and backward share these exact operations, so they make the same decisions.
static inline Vec raw_alpha(const Local& g, Vec px, Vec py, Vec& dx, Vec& dy) {
    dx = set1(g.x) - px, dy = set1(g.y) - py;
    const Vec slope = fma(set1(g.xx), dx, set1(g.xy) * dy);
    return set1(g.opacity) * exp2_negative(fma(slope, dx, set1(g.yy) * dy * dy));
}

// The blending step all passes share: cap, cut-off, saturation. -> weight; updates transmittance and live.
static inline Vec blend_step(Vec raw, Vec& transmittance, Mask& live, Vec& alpha) {
    alpha = min(raw, set1(ALPHA_MAX));
    alpha = zero_unless(ge(alpha, set1(ALPHA_MIN)), alpha);
    const Vec after = fnma(transmittance, alpha, transmittance);
    live = both(live, ge(after, set1(TRANSMITTANCE_MIN)));
    const Vec weight = zero_unless(live, alpha * transmittance);
    transmittance = select(live, after, transmittance);
    return weight;
}

struct Blend {
    Vec transmittance[2], r[2], g[2], b[2], depth[2], inverse_depth[2], median[2];
};

// The pairs of a region that have any weight: positions in the tile's list, and PX weights each.
struct Pairs {
    int* position;
    float* weight;
    int count;
};

static inline void keep(Pairs& pairs, int position, const Vec weights[2]) {
    for (int v = 0; v < 2; v++) store(pairs.weight + (size_t)pairs.count * PX + v * LANES, weights[v]);
    pairs.position[pairs.count] = position;
    pairs.count += any(gt(max(weights[0], weights[1]), set1(0)));  // else the next pair takes its place
}

// Blend a region front to back. COLORS: fill the images (else only the transmittance); STORE: keep pairs.
template <bool COLORS, bool STORE>
static Blend blend(Prepared& p, const Region& at, Pairs* pairs) {
    Blend o = {};
    Mask live[2] = {at.inside[0], at.inside[1]};
    for (int v = 0; v < 2; v++) o.transmittance[v] = set1(1), o.median[v] = set1_bits(-1);
    for (int first = 0; first < p.task->count; first += BLOCK) {
        const int found = cull(p, first, at);
        for (int k = 0; k < found; k++) {
            const Local& g = p.local[p.list[k]];
            Vec weights[2];
            const Vec id = set1_bits(p.task->ids[p.list[k]]);
            for (int v = 0; v < 2; v++) {
                Vec dx, dy, alpha;
                const Vec raw = raw_alpha(g, at.x[v], at.y[v], dx, dy);
                // the last Gaussian met at half the light or more is the one that crosses, if any does
                if (COLORS) o.median[v] = select(ge(o.transmittance[v], set1(MEDIAN_TRANSMITTANCE)), id, o.median[v]);
                const Vec w = weights[v] = blend_step(raw, o.transmittance[v], live[v], alpha);
                if (!COLORS) continue;
                o.r[v] = fma(w, set1(g.r), o.r[v]);
                o.g[v] = fma(w, set1(g.g), o.g[v]);
                o.b[v] = fma(w, set1(g.b), o.b[v]);
                o.depth[v] = fma(w, set1(g.z), o.depth[v]);
                o.inverse_depth[v] = fma(w, set1(g.inverse_z), o.inverse_depth[v]);
            }
            if (STORE) keep(*pairs, p.list[k], weights);
        }
        if (!any(either(live[0], live[1]))) break;
    }
    for (int v = 0; v < 2; v++)
        o.median[v] = select(ge(o.transmittance[v], set1(MEDIAN_TRANSMITTANCE)), set1_bits(-1), o.median[v]);
    return o;
}

// What the backward pass knows of each pixel of a region; g_* are zero outside the image.
struct PixelGradients {
    Vec r[2], g[2], b[2], depth[2], inverse_depth[2], alpha[2];
    Vec remaining[2];  // gradient-weighted sum of everything not yet passed
};

// What blending did with one Gaussian at one vector of pixels.
struct Step {
    Vec dx, dy, raw, alpha, before, weight;  // before: transmittance in front of it
    Mask hit;
};

// Add one vector of pixels to the twelve sums of a GRADIENT_ROW. pair_gradient: extra dL/dw (features), or null.
static inline void add_gradients(const Local& g, const Step& q, PixelGradients& d, int v, const float* pair_gradient,
                                 Vec s[12]) {
    const Vec xx = set1(g.xx * (-2 / LOG2_E)), xy = set1(g.xy * (-1 / LOG2_E)), yy = set1(g.yy * (-2 / LOG2_E));
    Vec value = fma(d.r[v], set1(g.r), d.alpha[v]);  // dL/dw
    value = fma(d.g[v], set1(g.g), value);
    value = fma(d.b[v], set1(g.b), value);
    value = fma(d.depth[v], set1(g.z), value);
    value = fma(d.inverse_depth[v], set1(g.inverse_z), value);
    if (pair_gradient) value = value + load(pair_gradient);
    d.remaining[v] = fnma(q.weight, value, d.remaining[v]);
    const Vec g_alpha = fma(q.before, value, set1(0) - d.remaining[v] * reciprocal(set1(1) - q.alpha));
    const Vec g_power = zero_unless(q.hit, g_alpha * q.raw);  // straight through the cap
    const Vec g_x = g_power * fma(xx, q.dx, xy * q.dy), g_y = g_power * fma(xy, q.dx, yy * q.dy);
    const Vec along_x = g_power * q.dx, along_y = g_power * q.dy;
    s[0] = s[0] - g_x;
    s[1] = s[1] - g_y;
    s[2] = fma(along_x, q.dx, s[2]);
    s[3] = fma(along_x, q.dy, s[3]);
    s[4] = fma(along_y, q.dy, s[4]);
    s[5] = s[5] + g_power;
    s[6] = fma(q.weight, fma(set1(-g.inverse_z * g.inverse_z), d.inverse_depth[v], d.depth[v]), s[6]);
    s[7] = fma(q.weight, d.r[v], s[7]);
    s[8] = fma(q.weight, d.g[v], s[8]);
    s[9] = fma(q.weight, d.b[v], s[9]);
    s[10] = s[10] + abs(g_x);
    s[11] = s[11] + abs(g_y);
}

// Add the gradients of one (Gaussian, region) pair to its row; false: it has no weight anywhere.
static inline bool backward_pair(const Local& g, const Region& at, PixelGradients& d, Vec transmittance[2],
                                 Mask live[2], const float* pair_gradient, float* row) {
    Step steps[2];
    for (int v = 0; v < 2; v++) {
        Step& q = steps[v];
        q.raw = raw_alpha(g, at.x[v], at.y[v], q.dx, q.dy);
        q.before = transmittance[v];
        q.weight = blend_step(q.raw, transmittance[v], live[v], q.alpha);
        q.hit = gt(q.weight, set1(0));
    }
    if (!any(either(steps[0].hit, steps[1].hit))) return false;
    Vec sums[12] = {};
    for (int v = 0; v < 2; v++)
        add_gradients(g, steps[v], d, v, pair_gradient ? pair_gradient + v * LANES : nullptr, sums);
    add_sums(sums, row);
    return true;
}

// Walk a region front to back again, adding to the rows [count, GRADIENT_ROW] of the tile's list.
// pair_gradients: PX per pair that blend kept, or null.
static void blend_backward(Prepared& p, const Region& at, PixelGradients& d, const float* pair_gradients, float* rows) {
    Vec transmittance[2] = {set1(1), set1(1)};
    Mask live[2] = {at.inside[0], at.inside[1]};
    for (int first = 0; first < p.task->count; first += BLOCK) {
        const int found = cull(p, first, at);
        for (int k = 0; k < found; k++) {
            const int i = p.list[k];
            float* row = rows + (size_t)i * GRADIENT_ROW;
            const bool kept = backward_pair(p.local[i], at, d, transmittance, live, pair_gradients, row);
            if (kept && pair_gradients) pair_gradients += PX;
        }
        if (!any(either(live[0], live[1]))) break;
    }
}

}  // namespace ndr::cpu::NDR_ISA
