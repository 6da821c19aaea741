// Tensors in, tensors out: allocates results, calls the launchers, registers the operators.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <climits>
#include <tuple>

#include "cuda/feature_path.h"
#include "cuda/kernels.h"
#include "cuda/projection_path.h"
#include "cuda/make_camera_ref.h"
#include "shared/schema.h"

namespace ndr {
namespace {


using Forward = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, std::vector<Tensor>>;
using Eight = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

Forward forward(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
               OptionalTensor sh, OptionalTensor colors, OptionalTensor features, const Tensor& camera_numbers,
               int64_t width, int64_t height, int64_t sh_degree, bool antialiasing, double near,
               double scale_modifier, c10::string_view precision, bool deterministic, int64_t max_instances) {
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const CameraRef camera = camera_ref(camera_numbers, width, height, sh_degree, antialiasing, near, scale_modifier);
    const Parameters p = make_parameters(means, quats, scales, opacities, sh, colors, features);
    const auto floats = means.options();
    const auto ints = floats.dtype(at::kInt);
    const TileGrid grid = TileGrid::of_pixels(camera.value.width, camera.value.height);
    const bool exact = precision == "fp32" || !use_tensor_cores();
    PackedTensors packed{{at::empty({0}, floats), at::empty({0}, floats)}, at::empty({0}, floats)};
    Tensor color = at::empty({3, height, width}, floats), depth = at::empty({1, height, width}, floats);
    Tensor inverse_depth = at::empty_like(depth), transmittance = at::empty_like(depth);
    Tensor median_ids = at::empty({height, width}, ints), last_entries = at::empty({height, width}, ints);
    Tensor feature_map = at::empty({0}, floats);
    const auto pack = [&] {
        if (features) packed = PackedTensors::make(*features, exact, stream);
    };
    const Projected projected = project_and_list(camera, p, grid, floats, max_instances, stream, pack);
    const Tensor &splats = projected.splats, &ids = projected.ids, &ranges = projected.ranges;
    const TileLists lists = make_lists(grid, splats, ids, ranges);
    const WeightTensors weights = WeightTensors::make(ids.size(0), ranges.size(0), features.has_value(), exact, floats);
    const Images images{write(color),         write(depth),
                        write(inverse_depth), write(transmittance),
                        median_ids.mutable_data_ptr<int>(), last_entries.mutable_data_ptr<int>()};
    launch_blend(lists, images, weights.view(), stream);
    if (features) feature_map = feature_product(lists, weights.view(), *features, packed, stream);
    return {color,
            depth,
            inverse_depth,
            transmittance,
            feature_map,
            median_ids,
            projected.radii,
            projected.means2d,
            {splats, ids, ranges, last_entries, weights.masks, weights.rows[0], weights.rows[1], packed.rows[0], packed.rows[1],
             packed.scale, projected.instances}};
}

Eight backward(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
               OptionalTensor sh, OptionalTensor colors, OptionalTensor features, const Tensor& camera_numbers,
               int64_t width, int64_t height, int64_t sh_degree, bool antialiasing, double near, double scale_modifier,
               c10::string_view precision, bool deterministic, at::TensorList saved, const Tensor& color, const Tensor& depth,
               const Tensor& inverse_depth, const Tensor& transmittance, const Tensor& feature_map,
               OptionalTensor g_color, OptionalTensor g_depth, OptionalTensor g_inverse_depth, OptionalTensor g_alpha,
               OptionalTensor g_feature_map, bool feature_geometry) {
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const CameraRef camera = camera_ref(camera_numbers, width, height, sh_degree, antialiasing, near, scale_modifier);
    const Parameters p = make_parameters(means, quats, scales, opacities, sh, colors, features);
    const Tensor &splats = saved[0], &ids = saved[1], &ranges = saved[2];
    const TileLists lists = make_lists(TileGrid::of_pixels(camera.value.width, camera.value.height), splats, ids, ranges);
    const auto floats = means.options();

    const Weights weights = WeightTensors{saved[4], {saved[5], saved[6]}}.view();
    FeatureGradient feature_gradient;
    if (g_feature_map)
        feature_gradient = FeatureGradient(lists, weights, ids, *features, {{saved[7], saved[8]}, saved[9]},
                                           pixels_first(*g_feature_map), feature_geometry, deterministic,
                                           stream);
    const ImageGrads gradients{read(g_color), read(g_depth), read(g_inverse_depth), read(g_alpha)};
    Tensor rows = at::zeros({p.count, 12}, floats);
    SplatGrad* splat_grads = reinterpret_cast<SplatGrad*>(write(rows));
    if (g_color || g_depth || g_inverse_depth || g_alpha || feature_gradient.dots.scales) {
        const Tensor slots = at::zeros({deterministic ? ids.size(0) * SUBTILES : 0, 12}, floats);
        launch_blend_backward(lists, read(transmittance), saved[3].const_data_ptr<int>(), gradients, weights,
                              feature_gradient.dots, deterministic ? slots.data_ptr<float>() : write(rows), deterministic,
                              stream);
        if (deterministic) SlotOrder(ids, p.count, stream).sum(slots, SUBTILES, write(rows), p.count, 12, 12, stream);
    }
    Tensor g_means = at::empty_like(means), g_quats = at::empty_like(quats), g_scales = at::empty_like(scales);
    Tensor g_opacities = at::empty_like(opacities), g_probe = at::empty({p.count, 4}, floats);
    Tensor g_colors = colors ? at::empty_like(*colors) : at::empty({0}, floats);
    launch_project_backward(camera, p, reinterpret_cast<const Splat*>(read(splats)), splat_grads,
                            {write(g_means), write(g_quats), write(g_scales), write(g_opacities), write(g_colors),
                             write(g_probe)},
                            stream);
    const Tensor g_features = g_feature_map ? feature_gradient.features : at::empty({0}, floats);
    return {g_means, g_quats, g_scales, g_opacities, at::empty({0}, floats), g_colors, g_features, g_probe};
}

}  // namespace

TORCH_LIBRARY(ndraster_cuda, m) {
    m.def(NDR_FORWARD_SCHEMA);
    m.def(NDR_BACKWARD_SCHEMA);
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("forward", forward);
    m.impl("backward", backward);
}

}  // namespace ndr
