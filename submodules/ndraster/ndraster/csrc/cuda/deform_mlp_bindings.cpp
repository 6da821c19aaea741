// The operators of the deformation network: checks, memory, launches, and the products for the weights' gradients.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "cuda/deform_mlp.cuh"

namespace ndr {
namespace {

using at::Tensor;

constexpr int PARTS = 36;  // of a long sum over rows, so that few multiprocessors are idle
constexpr int SKIP_TENSOR = LAYERS, FIRST_BIAS = LAYERS + 1, HEAD = FIRST_BIAS + LAYERS, HEAD_BIAS = HEAD + 1;

const __nv_bfloat16* bfloats(const Tensor& t) {
    return reinterpret_cast<const __nv_bfloat16*>(t.const_data_ptr<at::BFloat16>());
}
__nv_bfloat16* new_bfloats(Tensor& t) { return reinterpret_cast<__nv_bfloat16*>(t.mutable_data_ptr<at::BFloat16>()); }
const uint32_t* words(const Tensor& t) { return reinterpret_cast<const uint32_t*>(t.const_data_ptr<int>()); }
uint32_t* new_words(Tensor& t) { return reinterpret_cast<uint32_t*>(t.mutable_data_ptr<int>()); }

void check(const Tensor& t, at::IntArrayRef shape, const char* name) {
    TORCH_CHECK(t.is_cuda() && t.scalar_type() == at::kFloat && t.sizes() == shape, "deform_mlp: ", name, " is ",
                t.scalar_type(), t.sizes(), " on ", t.device(), "; expected float ", shape, " on the GPU");
}

void check_weights(at::TensorList weights) {
    TORCH_CHECK(weights.size() == HEAD_BIAS + 1, "deform_mlp: ", weights.size(), " weights; expected ", HEAD_BIAS + 1);
    const int64_t code = CODE_WIDTH - 1, outputs = weights[HEAD_BIAS].numel();
    for (int i = 0; i <= SKIP_TENSOR; i++)
        check(weights[i], {LAYER_WIDTH, i == 0 || i == SKIP_TENSOR ? code : LAYER_WIDTH}, "a weight");
    for (int i = FIRST_BIAS; i < HEAD; i++) check(weights[i], {LAYER_WIDTH}, "a bias");
    check(weights[HEAD], {outputs, LAYER_WIDTH}, "head"), check(weights[HEAD_BIAS], {outputs}, "head_bias");
    TORCH_CHECK(outputs <= MAX_OUTPUTS, "deform_mlp: ", outputs, " outputs; expected at most ", MAX_OUTPUTS);
}

// Rows that make whole tiles, and as many of them in each part of a sum.
int64_t padded_rows(int64_t count) {
    const int64_t tiles = (count + ROW_STEP - 1) / ROW_STEP, parts = std::clamp<int64_t>(tiles, 1, PARTS);
    return (tiles + parts - 1) / parts * parts * ROW_STEP;
}

WeightChunk* add_chunks(const Tensor& matrix, bool transposed, WeightChunk* to) {
    const Tensor m = transposed ? matrix.t() : matrix;
    for (int64_t first = 0; first < m.size(1); first += CODE_WIDTH)
        *to++ = {m.const_data_ptr<float>() + first * m.stride(1), m.stride(0), m.stride(1),
                 int(std::min<int64_t>(CODE_WIDTH, m.size(1) - first))};
    return to;
}

WeightChunks chunks_of(at::TensorList weights) {
    WeightChunks chunks;
    WeightChunk* to = chunks.forward;
    for (int layer = 0; layer < LAYERS; layer++) {
        to = add_chunks(weights[layer], false, to);
        if (layer == SKIP_LAYER) to = add_chunks(weights[SKIP_TENSOR], false, to);
    }
    to = add_chunks(weights[HEAD], true, chunks.backward);
    for (int layer = LAYERS - 1; layer > 0; layer--) to = add_chunks(weights[layer], true, to);
    return chunks;
}

std::tuple<Tensor, std::vector<Tensor>> deform_forward(const Tensor& points, at::TensorList weights, bool keep) {
    const int64_t count = points.size(0), rows = padded_rows(count), outputs = weights.back().numel();
    check(points, {count, 3}, "points"), check_weights(weights);
    const c10::cuda::CUDAGuard guard(points.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const auto bfloat = points.options().dtype(at::kBFloat16);
    Tensor out = at::empty({count, outputs}, points.options());
    Tensor forward = at::empty({LAYER_WIDTH, FORWARD_COLUMNS}, points.options().dtype(at::kHalf));
    Tensor backward, code, hidden, signs;
    DeformKept kept = {};
    if (keep) {
        backward = at::empty({LAYER_WIDTH, BACKWARD_COLUMNS}, bfloat), code = at::empty({rows, CODE_WIDTH}, bfloat);
        hidden = at::empty({LAYERS, rows, LAYER_WIDTH}, bfloat);
        signs = at::empty({rows * SIGN_WORDS}, points.options().dtype(at::kInt));
        kept = {new_bfloats(code), new_bfloats(hidden), new_words(signs)};
    }
    __half* packed = reinterpret_cast<__half*>(forward.mutable_data_ptr<at::Half>());
    launch_pack_weights(chunks_of(weights), packed, keep ? new_bfloats(backward) : nullptr, stream);
    std::vector<Tensor> rest = {points.contiguous()};
    const auto values = [&](const Tensor& t) { return rest.emplace_back(t.contiguous()).const_data_ptr<float>(); };
    DeformNetwork network = {packed, {}, values(weights[HEAD]), values(weights[HEAD_BIAS]), int(outputs)};
    for (int layer = 0; layer < LAYERS; layer++) network.biases[layer] = values(weights[FIRST_BIAS + layer]);
    launch_deform(rest[0].const_data_ptr<float>(), count, rows, network, out.mutable_data_ptr<float>(), kept, stream);
    return {out, keep ? std::vector<Tensor>{code, hidden, signs, backward} : std::vector<Tensor>{}};
}

// left^T right of [B, rows, m] and [B, rows, n] as float [B, m, n]; in parts, since whole sums leave a GPU idle.
Tensor sum_products(const Tensor& left, const Tensor& right) {
    const int64_t batch = left.size(0), rows = left.size(1);
    int64_t parts = std::min<int64_t>(PARTS, rows / ROW_STEP);
    if (batch > 1 && parts == PARTS) parts /= 4;  // there are enough products already
    const auto split = [&](const Tensor& t) { return t.reshape({batch * parts, rows / parts, t.size(2)}); };
    const Tensor products = at::bmm(split(left).transpose(1, 2), split(right));
    return products.view({batch, parts, left.size(2), right.size(2)}).sum(at::IntArrayRef{1}, false, at::kFloat);
}

std::vector<Tensor> deform_backward(const Tensor& gradient, at::TensorList kept) {
    TORCH_CHECK(kept.size() == 4, "deform_mlp: ", kept.size(), " kept tensors; expected those of the forward pass");
    const Tensor code = kept[0].unsqueeze(0), &hidden = kept[1], &signs = kept[2], &weights = kept[3];
    const int64_t count = gradient.size(0), outputs = gradient.size(1), rows = hidden.size(1);
    TORCH_CHECK(count <= rows && outputs <= MAX_OUTPUTS, "deform_mlp: gradient is ", gradient.sizes(),
                "; expected at most ", rows, " rows and ", MAX_OUTPUTS, " columns");
    const c10::cuda::CUDAGuard guard(gradient.device());
    Tensor wide = at::zeros({rows, MAX_OUTPUTS}, hidden.options());
    wide.narrow(0, 0, count).narrow(1, 0, outputs).copy_(gradient);
    Tensor layers = at::empty_like(hidden);
    Tensor parts = at::empty({bias_parts(rows), LAYERS, LAYER_WIDTH}, gradient.options());
    launch_deform_backward(bfloats(wide), rows, bfloats(weights), words(signs),
                           {new_bfloats(layers), parts.mutable_data_ptr<float>()},
                           c10::cuda::getCurrentCUDAStream().stream());
    const auto of_code = [&](int layer) {
        return sum_products(layers.narrow(0, layer, 1), code)[0].narrow(1, 0, CODE_WIDTH - 1);
    };
    std::vector<Tensor> gradients = {of_code(0)};
    for (const Tensor& t : sum_products(layers.narrow(0, 1, LAYERS - 1), hidden.narrow(0, 0, LAYERS - 1)).unbind())
        gradients.push_back(t);
    gradients.push_back(of_code(SKIP_LAYER));
    for (const Tensor& t : parts.sum(0).unbind()) gradients.push_back(t);
    gradients.push_back(sum_products(wide.unsqueeze(0), hidden.narrow(0, LAYERS - 1, 1))[0].narrow(0, 0, outputs));
    gradients.push_back(gradient.sum(0));
    return gradients;
}

}  // namespace

// weights and gradients: first, 7 hidden, skip, 8 biases, head, head_bias. forward -> out [N, outputs], and with `keep`
// what backward wants: code, hidden layers and signs as in deform_mlp.cuh, and the weights of the backward pass.
TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def("deform_mlp_forward(Tensor points, Tensor[] weights, bool keep) -> (Tensor, Tensor[])");
    m.def("deform_mlp_backward(Tensor gradient, Tensor[] kept) -> Tensor[]");
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("deform_mlp_forward", deform_forward);
    m.impl("deform_mlp_backward", deform_backward);
}

}  // namespace ndr
