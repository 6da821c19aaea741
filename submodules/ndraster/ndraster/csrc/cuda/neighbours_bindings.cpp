// The operator `nearest`; neighbours.py is its Python side.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/neighbours.cuh"

namespace ndr {
namespace {

using at::Tensor;

const float4* rows(const Tensor& t) {
    TORCH_CHECK(t.is_cuda() && t.is_contiguous() && t.scalar_type() == at::kFloat && t.size(-1) == 4, "nearest: ",
                t.scalar_type(), t.sizes(), " on ", t.device(), "; expected contiguous float [..., 4] on the GPU");
    return reinterpret_cast<const float4*>(t.const_data_ptr<float>());
}

std::tuple<Tensor, Tensor> nearest(const Tensor& points, const Tensor& leaves, const Tensor& groups, const Tensor& queries,
                                   const Tensor& starts, int64_t neighbours, bool of_themselves) {
    TORCH_CHECK(neighbours >= 1 && neighbours <= MAX_NEIGHBOURS, "nearest: ", neighbours, " neighbours; expected 1 to ",
                MAX_NEIGHBOURS);
    const c10::cuda::CUDAGuard guard(points.device());
    const Tensor positions = at::empty({queries.size(0), neighbours}, starts.options());
    const Tensor distances2 = at::empty({queries.size(0), neighbours}, points.options());
    launch_nearest({rows(points), rows(leaves), rows(groups), int(points.size(0)), int(leaves.size(0)), int(groups.size(0))},
                   {queries.const_data_ptr<float>(), starts.const_data_ptr<int>(), int(queries.size(0)), int(neighbours),
                    of_themselves},
                   positions.mutable_data_ptr<int>(), distances2.mutable_data_ptr<float>(),
                   c10::cuda::getCurrentCUDAStream().stream());
    return {positions, distances2};
}

}  // namespace

// points [N, 4], leaves [L, 2, 4], groups [G, 2, 4]: struct PointBoxes; queries [Q, 3], starts [Q] int32.
// -> positions [Q, neighbours] int32, squared distances [Q, neighbours]
TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def("nearest(Tensor points, Tensor leaves, Tensor groups, Tensor queries, Tensor starts, int neighbours, "
          "bool of_themselves) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) { m.impl("nearest", nearest); }

}  // namespace ndr
