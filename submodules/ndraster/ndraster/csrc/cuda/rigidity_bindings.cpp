// The operators `rigidity_forward` and `rigidity_backward`: checks, pointers, launches.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "cuda/rigidity.cuh"
#include "shared/schema.h"

namespace ndr {
namespace {

using at::Tensor;

const float* read(const Tensor& t) { return t.const_data_ptr<float>(); }
const int* integers(const Tensor& t) { return t.const_data_ptr<int>(); }
float* write(const Tensor& t) { return t.mutable_data_ptr<float>(); }
cudaStream_t current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

RigidGraph graph_of(const Tensor& previous_offsets, const Tensor& indices, const Tensor& weights, const Tensor& distances) {
    const int64_t backward_threads = 8 * indices.size(0);
    TORCH_CHECK(indices.numel() > 0 && std::max(indices.numel(), backward_threads) < std::numeric_limits<int>::max() / 2,
                "rigidity: neighbours are ", indices.sizes(), "; expected some, and fewer than 2^30 pairs");
    return {read(previous_offsets), integers(indices), read(weights), read(distances), int(indices.size(0)),
            int(indices.size(1))};
}

std::tuple<Tensor, Tensor> rigidity_forward(const Tensor& means, const Tensor& quats, const Tensor& previous_quats,
                                            const Tensor& previous_offsets, const Tensor& indices, const Tensor& weights,
                                            const Tensor& distances) {
    const c10::cuda::CUDAGuard guard(means.device());
    const RigidGraph graph = graph_of(previous_offsets, indices, weights, distances);
    static_assert(sizeof(RigidNode) == 8 * sizeof(float));
    const Tensor kept = at::empty({means.size(0), 8}, means.options()), losses = at::empty({3}, means.options());
    const Tensor sums = at::empty({int64_t(sizeof(LossSums))}, means.options().dtype(at::kByte));
    launch_rigidity(graph, {read(means), read(quats), read(previous_quats)}, reinterpret_cast<RigidNode*>(write(kept)),
                    reinterpret_cast<LossSums*>(sums.mutable_data_ptr<uint8_t>()), write(losses), current_stream());
    return {losses, kept};
}

std::tuple<Tensor, Tensor> rigidity_backward(const Tensor& kept, const Tensor& previous_quats, const Tensor& previous_offsets,
                                             const Tensor& indices, const Tensor& weights, const Tensor& distances,
                                             const Tensor& incoming_offsets, const Tensor& incoming_pairs,
                                             const Tensor& gradient) {
    const c10::cuda::CUDAGuard guard(kept.device());
    const RigidGraph graph = graph_of(previous_offsets, indices, weights, distances);
    const Tensor g_means = at::empty({graph.rows, 3}, kept.options()), g_quats = at::empty({graph.rows, 4}, kept.options());
    launch_rigidity_backward(graph, {integers(incoming_offsets), integers(incoming_pairs)},
                             reinterpret_cast<const RigidNode*>(read(kept)), read(previous_quats), read(gradient),
                             write(g_means), write(g_quats), current_stream());
    return {g_means, g_quats};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def(NDR_RIGIDITY_FORWARD_SCHEMA);
    m.def(NDR_RIGIDITY_BACKWARD_SCHEMA);
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("rigidity_forward", rigidity_forward);
    m.impl("rigidity_backward", rigidity_backward);
}

}  // namespace ndr
