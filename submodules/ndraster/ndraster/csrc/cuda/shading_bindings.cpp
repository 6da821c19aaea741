// The operators `shade` and `shade_backward`; autograd.py calls them around the rasterizer, which takes plain colours.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "cuda/make_camera_ref.h"
#include "cuda/shading.cuh"

namespace ndr {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

CameraRef eye_only(const Tensor& numbers, int64_t sh_degree) { return camera_ref(numbers, 0, 0, sh_degree, false, 0, 1); }

Coefficients<const float> coefficients(const Tensor& sh, OptionalTensor rest) {
    return {sh.const_data_ptr<float>(), rest ? rest->const_data_ptr<float>() : nullptr, int(sh.size(1) * 3),
            rest ? int(rest->size(1) * 3) : 0};
}

Tensor shade(const Tensor& means, const Tensor& sh, OptionalTensor sh_rest, const Tensor& camera, int64_t sh_degree) {
    const c10::cuda::CUDAGuard guard(means.device());
    Tensor colors = at::empty_like(means);
    launch_shade(eye_only(camera, sh_degree), means.const_data_ptr<float>(), coefficients(sh, sh_rest), int(means.size(0)),
                 colors.mutable_data_ptr<float>(), c10::cuda::getCurrentCUDAStream().stream());
    return colors;
}

std::tuple<Tensor, Tensor, Tensor> shade_backward(const Tensor& means, const Tensor& sh, OptionalTensor sh_rest,
                                                  const Tensor& camera, int64_t sh_degree, const Tensor& colors,
                                                  const Tensor& g_colors) {
    const c10::cuda::CUDAGuard guard(means.device());
    Tensor g_means = at::empty_like(means), g_sh = at::empty_like(sh);
    Tensor g_rest = sh_rest ? at::empty_like(*sh_rest) : at::empty({0}, sh.options());
    const Coefficients<const float> given = coefficients(sh, sh_rest);
    const Coefficients<float> gradients = {g_sh.mutable_data_ptr<float>(), g_rest.mutable_data_ptr<float>(), given.first_size,
                                           given.rest_size};
    launch_shade_backward(eye_only(camera, sh_degree), means.const_data_ptr<float>(), given, colors.const_data_ptr<float>(),
                          g_colors.const_data_ptr<float>(), int(means.size(0)), g_means.mutable_data_ptr<float>(), gradients,
                          c10::cuda::getCurrentCUDAStream().stream());
    return {g_means, g_sh, g_rest};
}

}  // namespace

// sh: [N, K, 3], or [N, 1, 3] with sh_rest [N, K - 1, 3]. -> colors [N, 3], not below 0
TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def("shade(Tensor means, Tensor sh, Tensor? sh_rest, Tensor camera, int sh_degree) -> Tensor");
    m.def("shade_backward(Tensor means, Tensor sh, Tensor? sh_rest, Tensor camera, int sh_degree, Tensor colors, "
          "Tensor g_colors) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("shade", shade);
    m.impl("shade_backward", shade_backward);
}

}  // namespace ndr
