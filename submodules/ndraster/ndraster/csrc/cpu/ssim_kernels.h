// Structural similarity of a band of rows, forward and backward: separable 11-tap blur, zero padding.
// ssim.py, `ssim_map`, is the specification. Included once per instruction set, after its vec_*.h.

namespace ndr::cpu::NDR_ISA {

constexpr int TAPS = 11, HALF = TAPS / 2;
constexpr float SSIM_C1 = 0.01f * 0.01f, SSIM_C2 = 0.03f * 0.03f;
// exp(-k^2 / 4.5), normalised (sigma 1.5 px)
constexpr float WINDOW[TAPS] = {0.00102838008f, 0.00759875814f, 0.0360007721f, 0.10936069f,
                                0.213005538f,   0.266011725f,   0.213005538f,  0.10936069f,
                                0.0360007721f,  0.00759875814f, 0.00102838008f};

// Horizontally blurred rows of `fields` images around the current row, in a ring of TAPS rows.
struct Ring {
    float* source;  // [fields, stride]: the row being blurred, with HALF zeros before it
    float* rows;    // [TAPS, fields, stride]
    int fields, stride;
};

static Ring make_ring(int width, int fields, Scratch& scratch) {
    Ring ring;
    ring.fields = fields;
    ring.stride = (width + LANES - 1) / LANES * LANES + 16 + LANES;  // a full vector may be read past the last tap
    const size_t size = (size_t)ring.stride * fields;
    ring.source = scratch.rows.floats(size * (TAPS + 1));
    ring.rows = ring.source + size;
    memset(ring.source, 0, size * (TAPS + 1) * sizeof(float));
    return ring;
}

static float* ring_row(const Ring& ring, int y, int field) {
    return ring.rows + ((size_t)((y + TAPS) % TAPS) * ring.fields + field) * ring.stride;
}

static void blur_row(const Ring& ring, int y, int width) {
    for (int f = 0; f < ring.fields; f++) {
        const float* in = ring.source + (size_t)f * ring.stride;
        float* out = ring_row(ring, y, f);
        for (int x = 0; x < width; x += LANES) {
            Vec total = set1(WINDOW[0]) * load(in + x);
            for (int k = 1; k < TAPS; k++) total = fma(set1(WINDOW[k]), load(in + x + k), total);
            store(out + x, total);
        }
    }
}

static void zero_row(const Ring& ring, int y) {
    for (int f = 0; f < ring.fields; f++) memset(ring_row(ring, y, f), 0, ring.stride * sizeof(float));
}

static inline Vec blur_column(const Ring& ring, int y, int field, int x) {
    Vec total = set1(0);
    for (int k = 0; k < TAPS; k++) total = fma(set1(WINDOW[k]), load(ring_row(ring, y + k - HALF, field) + x), total);
    return total;
}

// Feed row y of image and target: x, t, x^2, t^2, x t.
static void feed_images(const Ring& ring, const SsimBand& b, int y) {
    if (y < 0 || y >= b.height) return zero_row(ring, y);
    const float *image = b.image + (size_t)y * b.width, *target = b.target + (size_t)y * b.width;
    float* out[5];
    for (int f = 0; f < 5; f++) out[f] = ring.source + (size_t)f * ring.stride + HALF;
    for (int x = 0; x < b.width; x++) {
        const float i = image[x], t = target[x];
        out[0][x] = i, out[1][x] = t, out[2][x] = i * i, out[3][x] = t * t, out[4][x] = i * t;
    }
    blur_row(ring, y, b.width);
}

// SSIM of LANES pixels; d: derivatives with respect to the blurred image, image^2 and image x target.
static inline Vec similarity(const Vec m[5], Vec d[3]) {
    const Vec mean_1 = m[0], mean_2 = m[1], two = set1(2);
    const Vec product = mean_1 * mean_2, square_1 = mean_1 * mean_1, square_2 = mean_2 * mean_2;
    const Vec a = fma(two, product, set1(SSIM_C1)), b = fma(two, m[4] - product, set1(SSIM_C2));
    const Vec c = square_1 + square_2 + set1(SSIM_C1), e = (m[2] - square_1) + (m[3] - square_2) + set1(SSIM_C2);
    const Vec inverse_c = set1(1) / c, inverse_e = set1(1) / e, inverse = inverse_c * inverse_e;
    const Vec value = a * b * inverse;
    d[0] = two * (mean_2 * (b - a) * inverse - mean_1 * value * (inverse_c - inverse_e));
    d[1] = set1(0) - value * inverse_e;
    d[2] = two * a * inverse;
    return value;
}

static double add_row(const float* row, int width) {
    Vec total = set1(0);
    int x = 0;
    for (; x + LANES <= width; x += LANES) total = total + load(row + x);
    double result = sum(total);
    for (; x < width; x++) result += row[x];
    return result;
}

static double ssim_forward(const SsimBand& b, float* const partials[3], Scratch& scratch) {
    const Ring ring = make_ring(b.width, 5, scratch);
    float* lines = scratch.panel.floats((size_t)4 * ring.stride);
    for (int y = b.first_row - HALF; y < b.first_row + HALF; y++) feed_images(ring, b, y);
    double total = 0;
    for (int y = b.first_row; y < b.last_row; y++) {
        feed_images(ring, b, y + HALF);
        for (int x = 0; x < b.width; x += LANES) {
            Vec m[5], d[3];
            for (int f = 0; f < 5; f++) m[f] = blur_column(ring, y, f, x);
            store(lines + x, similarity(m, d));
            for (int i = 0; i < 3; i++) store(lines + (size_t)(i + 1) * ring.stride + x, d[i]);
        }
        total += add_row(lines, b.width);
        for (int i = 0; i < 3 && partials; i++)
            memcpy(partials[i] + (size_t)y * b.width, lines + (size_t)(i + 1) * ring.stride, b.width * sizeof(float));
    }
    return total;
}

static void feed_partials(const Ring& ring, const SsimBand& b, const float* const partials[3], int y) {
    if (y < 0 || y >= b.height) return zero_row(ring, y);
    for (int f = 0; f < 3; f++)
        memcpy(ring.source + (size_t)f * ring.stride + HALF, partials[f] + (size_t)y * b.width,
               b.width * sizeof(float));
    blur_row(ring, y, b.width);
}

static void ssim_backward(const SsimBand& b, const float* const partials[3], float scale, float* gradient,
                          Scratch& scratch) {
    const Ring ring = make_ring(b.width, 3, scratch);
    float* line = scratch.panel.floats(ring.stride);
    for (int y = b.first_row - HALF; y < b.first_row + HALF; y++) feed_partials(ring, b, partials, y);
    for (int y = b.first_row; y < b.last_row; y++) {
        feed_partials(ring, b, partials, y + HALF);
        const float *image = b.image + (size_t)y * b.width, *target = b.target + (size_t)y * b.width;
        float* out = gradient + (size_t)y * b.width;
        for (int x = 0; x < b.width; x += LANES) {
            const bool whole = x + LANES <= b.width;
            float i[LANES] = {}, t[LANES] = {};
            if (!whole)
                memcpy(i, image + x, (b.width - x) * sizeof(float)),
                    memcpy(t, target + x, (b.width - x) * sizeof(float));
            const Vec p1 = blur_column(ring, y, 1, x), p2 = blur_column(ring, y, 2, x);
            Vec g = blur_column(ring, y, 0, x);
            g = fma(set1(2) * load(whole ? image + x : i), p1, g);
            g = set1(scale) * fma(load(whole ? target + x : t), p2, g);
            store(whole ? out + x : line, g);
            if (!whole) memcpy(out + x, line, (b.width - x) * sizeof(float));
        }
    }
}

}  // namespace ndr::cpu::NDR_ISA
