// Backward: every tile leaves a row of gradients per list entry; then every Gaussian sums its rows in a fixed order. No
// atomics, and the same bits for any number of threads.
#include <cstring>

#include "kernels.h"
#include "lists.h"
#include "operators.h"
#include "parallel.h"
#include "shared/sh.h"

namespace ndr::cpu {

namespace {

constexpr int AHEAD = 4;                         // Gaussians whose rows are fetched early
constexpr size_t BAND_BYTES = size_t(16) << 20;  // of gradient rows alive at a time: they stay in cache

struct Gradients {
    Tensor means, quats, scales, opacities, sh, colors, features, probe;
};

Gradients make_gradients(const Parameters& p) {
    const auto none = [&] { return at::empty({0}, p.means.options()); };
    return {at::empty_like(p.means),
            at::empty_like(p.quats),
            at::empty_like(p.scales),
            at::empty_like(p.opacities),
            p.sh ? at::empty_like(*p.sh) : none(),
            p.colors ? at::empty_like(*p.colors) : none(),
            p.features ? at::zeros_like(*p.features) : none(),
            at::empty({p.count(), 4}, p.means.options())};
}

SplatGrad finished(const float* t, float opacity) {
    return {t[0], t[1], -0.5f * t[2], -t[3], -0.5f * t[4], t[5] / opacity, t[6], t[7], t[8], t[9], t[10], t[11]};
}

struct ParameterViews {
    const float *means, *quats, *scales, *opacities, *sh, *colors;
    float *g_means, *g_quats, *g_scales, *g_opacities, *g_sh, *g_colors, *g_probe;
    int sh_row;  // floats per Gaussian

    ParameterViews(const Parameters& p, const Gradients& g)
        : means(p.means.data_ptr<float>()),
          quats(p.quats.data_ptr<float>()),
          scales(p.scales.data_ptr<float>()),
          opacities(p.opacities.data_ptr<float>()),
          sh(p.sh ? p.sh->data_ptr<float>() : nullptr),
          colors(p.colors ? p.colors->data_ptr<float>() : nullptr),
          g_means(g.means.data_ptr<float>()),
          g_quats(g.quats.data_ptr<float>()),
          g_scales(g.scales.data_ptr<float>()),
          g_opacities(g.opacities.data_ptr<float>()),
          g_sh(g.sh.data_ptr<float>()),
          g_colors(g.colors.data_ptr<float>()),
          g_probe(g.probe.data_ptr<float>()),
          sh_row(3 * p.sh_stored()) {}

    void clear(int64_t i) const {
        std::memset(g_means + 3 * i, 0, 3 * sizeof(float));
        std::memset(g_quats + 4 * i, 0, 4 * sizeof(float));
        std::memset(g_scales + 3 * i, 0, 3 * sizeof(float));
        std::memset(g_probe + 4 * i, 0, 4 * sizeof(float));
        g_opacities[i] = 0;
        if (sh) std::memset(g_sh + sh_row * i, 0, sh_row * sizeof(float));
        if (colors) std::memset(g_colors + 3 * i, 0, 3 * sizeof(float));
    }

    void write(const Camera& camera, const Splat& s, const SplatGrad& g, int64_t i) const {
        project_backward(camera, means + 3 * i, quats + 4 * i, scales + 3 * i, opacities[i], g, g_means + 3 * i,
                         g_quats + 4 * i, g_scales + 3 * i, g_opacities[i]);
        const float rgb[3] = {s.r, s.g, s.b}, g_rgb[3] = {g.r, g.g, g.b};
        if (colors) std::memcpy(g_colors + 3 * i, g_rgb, sizeof g_rgb);
        if (sh) {
            const int active = 3 * sh_count(camera.sh_degree);
            sh_color_backward(camera, means + 3 * i, sh + sh_row * i, rgb, g_rgb, g_sh + sh_row * i, g_means + 3 * i);
            std::memset(g_sh + sh_row * i + active, 0, (sh_row - active) * sizeof(float));
        }
        const float probe[4] = {g.x, g.y, g.abs_x, g.abs_y};
        std::memcpy(g_probe + 4 * i, probe, sizeof probe);
    }
};

// totals: [N, GRADIENT_ROW], or null when no gradient reaches the geometry.
void parameter_gradients(const Parameters& p, const Lists& lists, const float* totals, const Gradients& out) {
    const ParameterViews views(p, out);
    for_blocks(p.count(), 1024, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t i = begin; i < end; i++) {
            if (totals == nullptr || lists.counts[i] == 0)
                views.clear(i);
            else
                views.write(p.camera, lists.splats[i], finished(totals + i * GRADIENT_ROW, lists.splats[i].opacity), i);
        }
    });
}

// The tiles in bands, so that the rows alive at a time fit a budget; after each band every Gaussian adds up its rows,
// in the order of its tiles.
class BackwardPass {
  public:
    BackwardPass(const Parameters& p, const Lists& lists, const BackwardImages& images)
        : p_(p), lists_(lists), images_(images), grid_(p.camera), done_(p.count(), 0), scratch_(at::get_num_threads()) {
        splat_stride_ = images.geometry ? GRADIENT_ROW : 0;
        feature_stride_ = images.g_feature_map ? (size_t)(images.feature_width + 15) / 16 * 16 : 0;
    }

    // totals [N, GRADIENT_ROW] and g_features [N, width] are added to; null where the images say so.
    void run(float* totals, float* g_features) {
        Buffer splat_band, feature_band;
        for (int64_t first = 0, last; first < grid_.tiles(); first = last) {
            last = band_end(first);
            const int64_t begin = lists_.ranges[first], end = lists_.ranges[last];
            float* splat_rows = splat_stride_ ? splat_band.floats((end - begin) * splat_stride_) : nullptr;
            float* feature_rows = feature_stride_ ? feature_band.floats((end - begin) * feature_stride_) : nullptr;
            for_blocks(last - first, 1, [&](int64_t tile, int64_t, int64_t thread) {
                run_tile(first + tile, splat_rows, feature_rows, begin, scratch_[thread]);
            });
            for_blocks(p_.count(), 512, [&](int64_t from, int64_t to, int64_t) {
                collect(from, to, begin, end, splat_rows, feature_rows, totals, g_features);
            });
        }
    }

  private:
    int64_t band_end(int64_t first) const {
        const int64_t room = BAND_BYTES / ((splat_stride_ + feature_stride_) * sizeof(float));
        int64_t last = first + 1;
        while (last < grid_.tiles() && lists_.ranges[last + 1] - lists_.ranges[first] <= room) last++;
        return last;
    }

    void run_tile(int64_t tile, float* splat_rows, float* feature_rows, int64_t band, Scratch& scratch) const {
        const int64_t begin = lists_.ranges[tile], end = lists_.ranges[tile + 1];
        if (begin == end) return;
        const TileTask task = {lists_.splats,
                               lists_.ids + begin,
                               (int)(end - begin),
                               (int)(tile % grid_.columns) * TILE,
                               (int)(tile / grid_.columns) * TILE,
                               p_.camera.width,
                               p_.camera.height};
        kernels().backward_tile(task, images_, splat_rows ? splat_rows + (begin - band) * splat_stride_ : nullptr,
                                feature_rows ? feature_rows + (begin - band) * feature_stride_ : nullptr,
                                feature_stride_, scratch);
    }

    // Rows of the band's entries begin .. end that belong to Gaussians from .. to.
    void collect(int64_t from, int64_t to, int64_t begin, int64_t end, const float* splat_rows,
                 const float* feature_rows, float* totals, float* g_features) {
        const int width = images_.feature_width;
        for (int64_t i = from; i < to; i++) {
            if (splat_rows && i + AHEAD < to) prefetch(i + AHEAD, begin, end, splat_rows);
            const int32_t* entries = lists_.entries + lists_.first[i];
            for (int32_t& k = done_[i]; k < lists_.counts[i] && entries[k] < end; k++) {
                const int64_t row = entries[k] - begin;
                if (splat_rows) add(splat_rows + row * GRADIENT_ROW, GRADIENT_ROW, totals + i * GRADIENT_ROW);
                if (feature_rows) add(feature_rows + row * feature_stride_, width, g_features + i * width);
            }
        }
    }

    void prefetch(int64_t i, int64_t begin, int64_t end, const float* splat_rows) const {
        const int32_t* entries = lists_.entries + lists_.first[i];
        const int32_t last = std::min(lists_.counts[i], done_[i] + 8);
        for (int32_t k = done_[i]; k < last && entries[k] < end; k++)
            __builtin_prefetch(splat_rows + (entries[k] - begin) * GRADIENT_ROW);
    }

    static void add(const float* row, int width, float* total) {
        for (int c = 0; c < width; c++) total[c] += row[c];
    }

    const Parameters& p_;
    const Lists& lists_;
    const BackwardImages& images_;
    Grid grid_;
    std::vector<int32_t> done_;  // instances of each Gaussian added so far
    std::vector<Scratch> scratch_;
    size_t splat_stride_, feature_stride_;
};

const float* data(const Optional& t) { return t && t->numel() ? t->data_ptr<float>() : nullptr; }

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool,
    at::TensorList saved, const Tensor& color, const Tensor& depth, const Tensor& inverse_depth,
    const Tensor& transmittance, const Tensor& feature_map, const Optional& g_color, const Optional& g_depth,
    const Optional& g_inverse_depth, const Optional& g_alpha, const Optional& g_feature_map, bool feature_geometry) {
    const Parameters p = {
        means, quats,  scales,   opacities,
        sh,    colors, features, make_camera(camera, width, height, sh_degree, antialiasing, near, scale_modifier)};
    const Lists lists = view(saved[0], saved[1], saved[2]);
    const float* g_map = features ? data(g_feature_map) : nullptr;
    const bool geometry = g_color || g_depth || g_inverse_depth || g_alpha || (g_map && feature_geometry);
    const BackwardImages images = {color.data_ptr<float>(),
                                   depth.data_ptr<float>(),
                                   inverse_depth.data_ptr<float>(),
                                   transmittance.data_ptr<float>(),
                                   feature_map.data_ptr<float>(),
                                   data(g_color),
                                   data(g_depth),
                                   data(g_inverse_depth),
                                   data(g_alpha),
                                   g_map,
                                   features ? features->data_ptr<float>() : nullptr,
                                   p.feature_width(),
                                   feature_geometry,
                                   geometry};
    const Gradients out = make_gradients(p);
    const Tensor totals = at::zeros({geometry ? p.count() : 0, GRADIENT_ROW}, means.options());
    float* total_data = geometry ? totals.data_ptr<float>() : nullptr;
    if (geometry || g_map)
        BackwardPass(p, lists, images).run(total_data, g_map ? out.features.data_ptr<float>() : nullptr);
    parameter_gradients(p, lists, total_data, out);
    return {out.means, out.quats, out.scales, out.opacities, out.sh, out.colors, out.features, out.probe};
}

}  // namespace ndr::cpu
