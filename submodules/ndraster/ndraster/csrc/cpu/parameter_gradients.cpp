#include "parameter_gradients.h"

#include <cstring>

#include "memory.h"
#include "parallel.h"
#include "shared/sh.h"

namespace ndr::cpu {

namespace {

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

}  // namespace

Gradients make_gradients(const Parameters& p) {
    const auto none = [&] { return at::empty({0}, p.means.options()); };
    return {at::empty_like(p.means),
            at::empty_like(p.quats),
            at::empty_like(p.scales),
            at::empty_like(p.opacities),
            p.sh ? at::empty_like(*p.sh) : none(),
            p.colors ? at::empty_like(*p.colors) : none(),
            p.features ? large_empty(p.features->sizes(), p.features->options()).zero_() : none(),
            at::empty({p.count(), 4}, p.means.options())};
}

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

}  // namespace ndr::cpu
