// Forward: lists, then every tile blended independently.
#include "kernels.h"
#include "lists.h"
#include "memory.h"
#include "operators.h"
#include "parallel.h"

namespace ndr::cpu {

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, std::vector<Tensor>> forward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool, int64_t) {
    const Parameters p = {
        means, quats,  scales,   opacities,
        sh,    colors, features, make_camera(camera, width, height, sh_degree, antialiasing, near, scale_modifier)};
    TORCH_CHECK(sh || colors, "ndraster: neither sh nor colors");
    check(p);
    const Grid grid(p.camera);
    const ListTensors made = build_lists(p, grid);
    const Lists lists = view(made.splats, made.ids, made.ranges);
    const auto options = means.options();
    Tensor color = at::empty({3, height, width}, options), depth = at::empty({1, height, width}, options);
    Tensor inverse_depth = at::empty_like(depth), transmittance = at::empty_like(depth);
    Tensor median_ids = at::empty({height, width}, options.dtype(at::kInt));
    Tensor feature_map = at::empty({0}, options);
    if (p.features) feature_map = large_empty({p.feature_width(), height, width}, options);
    const ForwardImages images = {color.data_ptr<float>(),
                                  depth.data_ptr<float>(),
                                  inverse_depth.data_ptr<float>(),
                                  transmittance.data_ptr<float>(),
                                  median_ids.data_ptr<int32_t>(),
                                  p.features ? p.features->data_ptr<float>() : nullptr,
                                  p.feature_width(),
                                  feature_map.data_ptr<float>()};
    std::vector<Scratch> scratch(at::get_num_threads());
    for_blocks(grid.tiles(), 1, [&](int64_t tile, int64_t, int64_t thread) {
        kernels().forward_tile(tile_task(lists, grid, p.camera, (int)tile), images, scratch[thread]);
    });
    return {color,      depth,        inverse_depth, transmittance, feature_map, median_ids,
            made.radii, made.means2d, {made.splats, made.ids, made.ranges}};
}

}  // namespace ndr::cpu
