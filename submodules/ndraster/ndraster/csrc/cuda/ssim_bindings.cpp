// The operators on two images: SSIM alone, and the photometric loss (1 - w) L1 + w (1 - SSIM) in one pass.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/ssim.cuh"
#include "shared/schema.h"

namespace ndr {
namespace {

using at::Tensor;

constexpr ImageScore SSIM_ALONE = {0, 1, 0};

ImageScore photometric(double dssim_weight) {
    return {float(dssim_weight), float(-dssim_weight), float(1 - dssim_weight)};
}

ImageShape shape_of(const Tensor& image) {
    return {int(image.size(0) * image.size(1)), int(image.size(2)), int(image.size(3))};
}

std::tuple<Tensor, Tensor> score(const Tensor& image, const Tensor& target, bool want_gradient, const ImageScore& weights) {
    const c10::cuda::CUDAGuard guard(image.device());
    Tensor partials = at::empty({want_gradient ? 3 : 0, image.size(0), image.size(1), image.size(2), image.size(3)}, image.options());
    Tensor sums = at::empty({int64_t(sizeof(ScoreSums))}, image.options().dtype(at::kByte)), value = at::empty({}, image.options());
    launch_image_score(image.const_data_ptr<float>(), target.const_data_ptr<float>(), shape_of(image), weights,
                       want_gradient ? partials.mutable_data_ptr<float>() : nullptr,
                       reinterpret_cast<ScoreSums*>(sums.mutable_data_ptr<uint8_t>()), value.mutable_data_ptr<float>(),
                       c10::cuda::getCurrentCUDAStream().stream());
    return {value, partials};
}

Tensor score_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient,
                      const ImageScore& weights) {
    const c10::cuda::CUDAGuard guard(image.device());
    Tensor g_image = at::empty_like(image);
    launch_image_score_backward(image.const_data_ptr<float>(), target.const_data_ptr<float>(), partials.const_data_ptr<float>(),
                                gradient.const_data_ptr<float>(), shape_of(image), weights,
                                g_image.mutable_data_ptr<float>(), c10::cuda::getCurrentCUDAStream().stream());
    return g_image;
}

std::tuple<Tensor, Tensor> ssim_forward(const Tensor& image, const Tensor& target, bool want_gradient) {
    return score(image, target, want_gradient, SSIM_ALONE);
}

Tensor ssim_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient) {
    return score_backward(image, target, partials, gradient, SSIM_ALONE);
}

std::tuple<Tensor, Tensor> photometric_forward(const Tensor& image, const Tensor& target, double dssim_weight,
                                               bool want_gradient) {
    return score(image, target, want_gradient, photometric(dssim_weight));
}

Tensor photometric_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient,
                            double dssim_weight) {
    return score_backward(image, target, partials, gradient, photometric(dssim_weight));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def(NDR_SSIM_FORWARD_SCHEMA);
    m.def(NDR_SSIM_BACKWARD_SCHEMA);
    m.def("photometric_forward(Tensor image, Tensor target, float dssim_weight, bool want_gradient) -> (Tensor, Tensor)");
    m.def("photometric_backward(Tensor image, Tensor target, Tensor partials, Tensor gradient, float dssim_weight) -> Tensor");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("ssim_forward", ssim_forward);
    m.impl("ssim_backward", ssim_backward);
    m.impl("photometric_forward", photometric_forward);
    m.impl("photometric_backward", photometric_backward);
}

}  // namespace ndr
