// Forward: lists, then every tile blended independently.
#include "kernels.h"
#include "lists.h"
#include "operators.h"
#include "parallel.h"

namespace ndr::cpu {

namespace {

void check(const Tensor& t, const char* name) {
    TORCH_CHECK(t.is_contiguous() && t.scalar_type() == at::kFloat && t.device().is_cpu(), "ndraster: ", name,
                " must be contiguous float32 on the CPU");
}

void check_all(const Parameters& p) {
    check(p.means, "means"), check(p.quats, "quats"), check(p.scales, "scales"), check(p.opacities, "opacities");
    if (p.sh) check(*p.sh, "sh");
    if (p.colors) check(*p.colors, "colors");
    if (p.features) check(*p.features, "features");
    TORCH_CHECK(p.sh || p.colors, "ndraster: neither sh nor colors");
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, std::vector<Tensor>> forward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool) {
    const Parameters p = {
        means, quats,  scales,   opacities,
        sh,    colors, features, make_camera(camera, width, height, sh_degree, antialiasing, near, scale_modifier)};
    check_all(p);
    const ListTensors made = build_lists(p);
    const Lists lists = view(made.splats, made.ids, made.ranges);
    const auto options = means.options();
    Tensor color = at::empty({3, height, width}, options), depth = at::empty({1, height, width}, options);
    Tensor inverse_depth = at::empty_like(depth), transmittance = at::empty_like(depth);
    Tensor median_ids = at::empty({height, width}, options.dtype(at::kInt));
    Tensor feature_map = p.features ? at::empty({p.feature_width(), height, width}, options) : at::empty({0}, options);
    const ForwardImages images = {color.data_ptr<float>(),
                                  depth.data_ptr<float>(),
                                  inverse_depth.data_ptr<float>(),
                                  transmittance.data_ptr<float>(),
                                  median_ids.data_ptr<int32_t>(),
                                  p.features ? p.features->data_ptr<float>() : nullptr,
                                  p.feature_width(),
                                  feature_map.data_ptr<float>()};
    const Grid grid(p.camera);
    std::vector<Scratch> scratch(at::get_num_threads());
    for_blocks(grid.tiles(), 1, [&](int64_t tile, int64_t, int64_t thread) {
        const TileTask task = {lists.splats,
                               lists.ids + lists.ranges[tile],
                               (int)(lists.ranges[tile + 1] - lists.ranges[tile]),
                               (int)(tile % grid.columns) * TILE,
                               (int)(tile / grid.columns) * TILE,
                               (int)width,
                               (int)height};
        kernels().forward_tile(task, images, scratch[thread]);
    });
    return {color,      depth,        inverse_depth, transmittance, feature_map, median_ids,
            made.radii, made.means2d, {made.splats, made.ids, made.ranges}};
}

}  // namespace ndr::cpu
