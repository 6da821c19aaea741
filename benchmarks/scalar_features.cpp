// What the feature pass costs as plain loops, per pixel and per channel, on the same lists and camera model: the yardstick
// for the CPU backend's products. Built by cpu_backend.py with -O2 -fno-tree-vectorize.
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

constexpr int TILE = 16;

struct Splat {
    float x, y, conic_xx, conic_xy, conic_yy, opacity, z, reach2, r, g, b, inverse_z;
};

struct Scene {
    const Splat* splats;
    const int32_t* ids;
    const int64_t* ranges;
    const float* features;
    int gaussians, channels, width, height, threads;
};

// body(id, weight, alpha, transmittance in front) for what is blended at a pixel.
template <class Body>
void blend(const Scene& s, int x, int y, const Body& body) {
    const int tile = y / TILE * ((s.width + TILE - 1) / TILE) + x / TILE;
    float light = 1;
    for (int64_t k = s.ranges[tile]; k < s.ranges[tile + 1]; k++) {
        const Splat& g = s.splats[s.ids[k]];
        const float dx = g.x - x - 0.5f, dy = g.y - y - 0.5f;
        const float power = -0.5f * (g.conic_xx * dx * dx + g.conic_yy * dy * dy) - g.conic_xy * dx * dy;
        const float alpha = std::fmin(0.99f, g.opacity * std::exp(power));
        if (alpha < 1 / 255.0f) continue;
        if (light * (1 - alpha) < 1e-4f) break;
        body(s.ids[k], g, dx, dy, alpha, light);
        light *= 1 - alpha;
    }
}

void forward_pixel(const Scene& s, int x, int y, float* map) {
    const size_t plane = (size_t)s.width * s.height, at = (size_t)y * s.width + x;
    std::vector<float> sum(s.channels, 0.0f);
    blend(s, x, y, [&](int id, const Splat&, float, float, float alpha, float light) {
        for (int c = 0; c < s.channels; c++) sum[c] += alpha * light * s.features[(size_t)id * s.channels + c];
    });
    for (int c = 0; c < s.channels; c++) map[c * plane + at] = sum[c];
}

// g_splats [N][6]: screen mean, conic, opacity; null: only g_features.
void backward_pixel(const Scene& s, int x, int y, const float* map, const float* g_map, float* g_features,
                    float* g_splats) {
    const size_t plane = (size_t)s.width * s.height, at = (size_t)y * s.width + x;
    std::vector<float> gradient(s.channels);
    float remaining = 0;
    for (int c = 0; c < s.channels; c++) gradient[c] = g_map[c * plane + at];
    if (g_splats)
        for (int c = 0; c < s.channels; c++) remaining += gradient[c] * map[c * plane + at];
    blend(s, x, y, [&](int id, const Splat& g, float dx, float dy, float alpha, float light) {
        float* row = g_features + (size_t)id * s.channels;
        for (int c = 0; c < s.channels; c++) row[c] += alpha * light * gradient[c];
        if (g_splats == nullptr) return;
        float value = 0;
        for (int c = 0; c < s.channels; c++) value += gradient[c] * s.features[(size_t)id * s.channels + c];
        remaining -= alpha * light * value;
        const float g_power = (light * value - remaining / (1 - alpha)) * alpha;
        float* out = g_splats + (size_t)id * 6;
        out[0] -= g_power * (g.conic_xx * dx + g.conic_xy * dy);
        out[1] -= g_power * (g.conic_xy * dx + g.conic_yy * dy);
        out[2] -= 0.5f * g_power * dx * dx, out[3] -= g_power * dx * dy, out[4] -= 0.5f * g_power * dy * dy;
        out[5] += g_power / g.opacity;
    });
}

// work(x, y, thread) over all pixels, whole tile rows dealt to the threads in turn.
template <class Work>
void for_pixels(const Scene& s, const Work& work) {
    std::vector<std::thread> threads;
    for (int t = 0; t < s.threads; t++)
        threads.emplace_back([&, t] {
            for (int y = 0; y < s.height; y++)
                if (y / TILE % s.threads == t)
                    for (int x = 0; x < s.width; x++) work(x, y, t);
        });
    for (auto& thread : threads) thread.join();
}

}  // namespace

extern "C" void scalar_forward(const Scene* s, float* map) {
    for_pixels(*s, [&](int x, int y, int) { forward_pixel(*s, x, y, map); });
}

// Sums per thread, [threads][N][channels] and [threads][N][6]: zeros on entry.
extern "C" void scalar_backward(const Scene* s, const float* map, const float* g_map, float* g_features,
                                float* g_splats) {
    const size_t n = s->gaussians;
    for_pixels(*s, [&](int x, int y, int t) {
        backward_pixel(*s, x, y, map, g_map, g_features + t * n * s->channels, g_splats ? g_splats + t * n * 6 : nullptr);
    });
}
