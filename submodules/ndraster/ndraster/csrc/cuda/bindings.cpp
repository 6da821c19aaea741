// Tensors in, tensors out: allocates results, calls the launchers, registers the operators.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/kernels.h"
#include "shared/constants.h"
#include "shared/make_camera.h"
#include "shared/projection.h"
#include "shared/schema.h"

namespace ndr {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

const float* read(const Tensor& t) { return t.const_data_ptr<float>(); }
const float* read(OptionalTensor t) { return t ? t->const_data_ptr<float>() : nullptr; }
float* write(Tensor& t) { return t.mutable_data_ptr<float>(); }

Parameters make_parameters(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
                           OptionalTensor sh, OptionalTensor colors, OptionalTensor features) {
    TORCH_CHECK(means.size(0) < (int64_t(1) << 31), "too many Gaussians: ", means.size(0));
    return {read(means), read(quats),    read(scales),           read(opacities),
            read(sh),    read(colors),   read(features),         int(means.size(0)),
            sh ? int(sh->size(1)) : 0,   features ? int(features->size(1)) : 0};
}

TileLists make_lists(const Camera& camera, const Tensor& splats, const Tensor& ids, const Tensor& ranges) {
    return {reinterpret_cast<const Splat*>(read(splats)),
            ids.const_data_ptr<int>(),
            reinterpret_cast<const int2*>(ranges.const_data_ptr<int>()),
            (camera.width + TILE - 1) / TILE,
            (camera.height + TILE - 1) / TILE,
            camera.width,
            camera.height};
}

using Forward = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, std::vector<Tensor>>;
using Eight = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

Forward forward(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
               OptionalTensor sh, OptionalTensor colors, OptionalTensor features, const Tensor& camera_numbers,
               int64_t width, int64_t height, int64_t sh_degree, bool antialiasing, double near,
               double scale_modifier, c10::string_view precision, bool deterministic) {
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const Camera camera = make_camera(camera_numbers, width, height, sh_degree, antialiasing, near, scale_modifier);
    const Parameters p = make_parameters(means, quats, scales, opacities, sh, colors, features);
    const auto floats = means.options();
    const auto ints = floats.dtype(at::kInt);
    const int tiles_x = (camera.width + TILE - 1) / TILE, tiles_y = (camera.height + TILE - 1) / TILE;

    Tensor splats = at::empty({p.count, 12}, floats), means2d = at::empty({p.count, 2}, floats);
    Tensor radii = at::empty({p.count}, ints), keys = at::empty({p.count}, ints), order = at::empty({p.count}, ints);
    Tensor offsets = at::empty({p.count}, floats.dtype(at::kLong)), ranges = at::empty({tiles_x * tiles_y, 2}, ints);
    Splat* rows = reinterpret_cast<Splat*>(write(splats));
    uint32_t* depth_keys = reinterpret_cast<uint32_t*>(keys.mutable_data_ptr<int>());
    launch_project(camera, p, rows, radii.mutable_data_ptr<int>(), write(means2d), depth_keys, stream);
    const int64_t instances = count_instances(rows, depth_keys, p.count, tiles_x, tiles_y, order.mutable_data_ptr<int>(),
                                              offsets.mutable_data_ptr<int64_t>(), stream);
    TORCH_CHECK(instances < (int64_t(1) << 31), "the image needs ", instances,
                " (Gaussian, tile) pairs; at most 2^31 - 1 fit: render smaller or prune large Gaussians");
    Tensor ids = at::empty({instances}, ints);
    fill_lists(rows, depth_keys, order.const_data_ptr<int>(), offsets.const_data_ptr<int64_t>(), p.count, instances,
               tiles_x, tiles_y, ids.mutable_data_ptr<int>(), reinterpret_cast<int2*>(ranges.mutable_data_ptr<int>()),
               stream);

    Tensor color = at::empty({3, height, width}, floats), depth = at::empty({1, height, width}, floats);
    Tensor inverse_depth = at::empty_like(depth), transmittance = at::empty_like(depth);
    Tensor median_ids = at::empty({height, width}, ints), feature_map = at::empty({0}, floats);
    const TileLists lists = make_lists(camera, splats, ids, ranges);
    launch_blend(lists, {write(color), write(depth), write(inverse_depth), write(transmittance), median_ids.mutable_data_ptr<int>()}, stream);
    if (features) {
        feature_map = at::empty({p.feature_width, height, width}, floats);
        launch_feature_blend(lists, p.features, p.feature_width, write(feature_map), stream);
    }
    return {color, depth, inverse_depth, transmittance, feature_map, median_ids, radii, means2d, {splats, ids, ranges}};
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
    const Camera camera = make_camera(camera_numbers, width, height, sh_degree, antialiasing, near, scale_modifier);
    const Parameters p = make_parameters(means, quats, scales, opacities, sh, colors, features);
    const Tensor &splats = saved[0], &ids = saved[1], &ranges = saved[2];
    const TileLists lists = make_lists(camera, splats, ids, ranges);
    const auto floats = means.options();

    Tensor g_features = at::empty({0}, floats);
    if (g_feature_map) {
        g_features = at::zeros({p.count, p.feature_width}, floats);
        launch_feature_gradient(lists, read(g_feature_map), p.feature_width, write(g_features), stream);
    }
    const float* g_map = feature_geometry ? read(g_feature_map) : nullptr;
    const ImageGrads gradients{read(g_color), read(g_depth), read(g_inverse_depth), read(g_alpha), g_map};
    Tensor rows = at::zeros({p.count, 12}, floats);
    SplatGrad* splat_grads = reinterpret_cast<SplatGrad*>(write(rows));
    if (g_color || g_depth || g_inverse_depth || g_alpha || g_map) {
        // the backward only reads the images
        const Images images{const_cast<float*>(read(color)), const_cast<float*>(read(depth)),
                            const_cast<float*>(read(inverse_depth)), const_cast<float*>(read(transmittance)), nullptr};
        launch_blend_backward(lists, images, read(feature_map), gradients, p.features, p.feature_width, splat_grads,
                              stream);
    }
    Tensor g_means = at::empty_like(means), g_quats = at::empty_like(quats), g_scales = at::empty_like(scales);
    Tensor g_opacities = at::empty_like(opacities), g_probe = at::empty({p.count, 4}, floats);
    Tensor g_sh = sh ? at::empty_like(*sh) : at::empty({0}, floats);
    Tensor g_colors = colors ? at::empty_like(*colors) : at::empty({0}, floats);
    launch_project_backward(camera, p, reinterpret_cast<const Splat*>(read(splats)), splat_grads,
                            {write(g_means), write(g_quats), write(g_scales), write(g_opacities), write(g_sh),
                             write(g_colors), write(g_probe)},
                            stream);
    return {g_means, g_quats, g_scales, g_opacities, g_sh, g_colors, g_features, g_probe};
}

std::tuple<Tensor, Tensor> ssim_forward(const Tensor& image, const Tensor& target, bool want_gradient) {
    const c10::cuda::CUDAGuard guard(image.device());
    const int planes = int(image.size(0) * image.size(1)), height = int(image.size(2)), width = int(image.size(3));
    Tensor partials = at::empty({want_gradient ? 3 : 0, image.size(0), image.size(1), height, width}, image.options());
    Tensor sum = at::zeros({}, image.options().dtype(at::kDouble));
    launch_ssim_forward(read(image), read(target), planes, height, width, want_gradient ? write(partials) : nullptr,
                        sum.mutable_data_ptr<double>(), c10::cuda::getCurrentCUDAStream().stream());
    return {(sum / double(image.numel())).to(at::kFloat), partials};
}

Tensor ssim_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient) {
    const c10::cuda::CUDAGuard guard(image.device());
    const int planes = int(image.size(0) * image.size(1)), height = int(image.size(2)), width = int(image.size(3));
    Tensor g_image = at::empty_like(image);
    launch_ssim_backward(read(image), read(target), read(partials), read(gradient), planes, height, width, write(g_image),
                         c10::cuda::getCurrentCUDAStream().stream());
    return g_image;
}

}  // namespace

TORCH_LIBRARY(ndraster_cuda, m) {
    m.def(NDR_FORWARD_SCHEMA);
    m.def(NDR_BACKWARD_SCHEMA);
    m.def(NDR_SSIM_FORWARD_SCHEMA);
    m.def(NDR_SSIM_BACKWARD_SCHEMA);
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("forward", forward);
    m.impl("backward", backward);
    m.impl("ssim_forward", ssim_forward);
    m.impl("ssim_backward", ssim_backward);
}

}  // namespace ndr
