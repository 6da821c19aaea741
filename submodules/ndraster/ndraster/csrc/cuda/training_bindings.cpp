// The operators `activate`, `activate_backward` and `observe`; activation.py is their Python side.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/training.cuh"

namespace ndr {
namespace {

using at::Tensor;
using Three = std::tuple<Tensor, Tensor, Tensor>;

const float* read(const Tensor& t) { return t.const_data_ptr<float>(); }
float* write(const Tensor& t) { return t.mutable_data_ptr<float>(); }
cudaStream_t current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

Three activate(const Tensor& rotations, const Tensor& log_scales, const Tensor& logits) {
    const c10::cuda::CUDAGuard guard(rotations.device());
    const int64_t count = rotations.size(0);
    const Tensor quats = at::empty_like(rotations), scales = at::empty_like(log_scales);
    const Tensor opacities = at::empty({count}, logits.options());
    launch_activate({read(rotations), read(log_scales), read(logits)}, int(count),
                    {write(quats), write(scales), write(opacities)}, current_stream());
    return {quats, scales, opacities};
}

Three activate_backward(const Tensor& rotations, const Tensor& scales, const Tensor& opacities, const Tensor& g_quats,
                        const Tensor& g_scales, const Tensor& g_opacities) {
    const c10::cuda::CUDAGuard guard(rotations.device());
    const int64_t count = rotations.size(0);
    const Tensor g_rotations = at::empty_like(rotations), g_log_scales = at::empty_like(scales);
    const Tensor g_logits = at::empty({count, 1}, opacities.options());
    const auto plain = [](const Tensor& t) { return const_cast<float*>(read(t)); };  // only read
    launch_activate_backward(read(rotations), read(scales), read(opacities),
                             {plain(g_quats), plain(g_scales), plain(g_opacities)}, int(count),
                             {write(g_rotations), write(g_log_scales), write(g_logits)}, current_stream());
    return {g_rotations, g_log_scales, g_logits};
}

void observe(const Tensor& probe, const Tensor& radii, bool absolute, double scale_x, double scale_y,
             const Tensor& gradient_sum, const Tensor& num_seen) {
    const c10::cuda::CUDAGuard guard(probe.device());
    launch_observe(read(probe), radii.const_data_ptr<int>(), int(probe.size(0)), absolute ? 2 : 0, float(scale_x),
                   float(scale_y), write(gradient_sum), write(num_seen), current_stream());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def("activate(Tensor rotations, Tensor log_scales, Tensor logits) -> (Tensor, Tensor, Tensor)");
    m.def("activate_backward(Tensor rotations, Tensor scales, Tensor opacities, Tensor g_quats, Tensor g_scales, "
          "Tensor g_opacities) -> (Tensor, Tensor, Tensor)");
    m.def("observe(Tensor probe, Tensor radii, bool absolute, float scale_x, float scale_y, Tensor(a!) gradient_sum, "
          "Tensor(b!) num_seen) -> ()");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("activate", activate);
    m.impl("activate_backward", activate_backward);
    m.impl("observe", observe);
}

}  // namespace ndr
