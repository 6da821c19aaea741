// The operator `adam`: checks, pointers, launches.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>

#include "cuda/adam.cuh"

namespace ndr {
namespace {

using at::Tensor;

// Adam's running values of several parameters, in the same order; `steps` may be empty.
struct AdamLists {
    at::TensorList params, grads, means, squares, steps, rates;
};

void check(const Tensor& t, const Tensor& parameter, const char* name) {
    TORCH_CHECK(t.is_cuda() && t.is_contiguous() && t.scalar_type() == at::kFloat && t.numel() == parameter.numel(), "adam: ",
                name, " is ", t.scalar_type(), t.sizes(), " on ", t.device(), " for a parameter ", parameter.sizes(),
                "; expected contiguous float of its size on the GPU");
}

AdamTensor make_tensor(const AdamLists& lists, int64_t i) {
    const Tensor &p = lists.params[i], &gradient = lists.grads[i], &mean = lists.means[i], &square = lists.squares[i];
    check(p, p, "parameter"), check(gradient, p, "gradient"), check(mean, p, "exp_avg"), check(square, p, "exp_avg_sq");
    AdamTensor t = {};
    t.parameter = p.mutable_data_ptr<float>(), t.gradient = gradient.const_data_ptr<float>();
    t.mean = mean.mutable_data_ptr<float>(), t.square = square.mutable_data_ptr<float>();
    t.step = lists.steps.empty() ? nullptr : lists.steps[i].mutable_data_ptr<float>();
    t.rate = lists.rates[i].const_data_ptr<float>();
    t.size = p.numel(), t.row = int(p.dim() && p.size(0) ? p.numel() / p.size(0) : 1);
    const auto pointers = {(const float*)t.parameter, t.gradient, (const float*)t.mean, (const float*)t.square};
    t.aligned = std::all_of(pointers.begin(), pointers.end(), [](const float* x) { return uintptr_t(x) % 16 == 0; });
    return t;
}

void adam(at::TensorList params, at::TensorList grads, at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
          at::TensorList steps, at::TensorList rates, const std::optional<Tensor>& radii, double beta1, double beta2,
          double eps) {
    if (params.empty()) return;
    const size_t count = params.size();
    TORCH_CHECK(grads.size() == count && exp_avgs.size() == count && exp_avg_sqs.size() == count &&
                    (steps.empty() || steps.size() == count) && rates.size() == count,
                "adam: lists of different lengths");
    const c10::cuda::CUDAGuard guard(params[0].device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const AdamLists lists = {params, grads, exp_avgs, exp_avg_sqs, steps, rates};
    const AdamSettings settings = {beta1, beta2, eps, radii ? radii->const_data_ptr<int>() : nullptr};
    const Tensor corrected = at::empty({int64_t(count), 2}, params[0].options());
    float2* scratch = reinterpret_cast<float2*>(corrected.mutable_data_ptr<float>());
    AdamTensors batch = {};
    for (size_t i = 0; i < count; i++) {
        batch.tensors[batch.count++] = make_tensor(lists, int64_t(i));
        if (batch.count == MAX_ADAM_TENSORS || i + 1 == count) {
            launch_adam(batch, settings, scratch, stream);
            scratch += batch.count, batch.count = 0;
        }
    }
}

}  // namespace

// In place. steps: [1] each, counted up, with bias correction; none: without. rates: [1] each, on the GPU, so that a CUDA
// graph is replayed with the rates of the moment. radii [N] int32: rows of Gaussians with 0 keep their values and moments.
TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def("adam(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, Tensor(d!)[] steps, "
          "Tensor[] rates, Tensor? radii, float beta1, float beta2, float eps) -> ()");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) { m.impl("adam", adam); }

}  // namespace ndr
