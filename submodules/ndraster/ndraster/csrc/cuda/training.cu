// Activation of the stored parameters and its backward pass, and the densification statistics; each is one pass over memory.
#include <c10/cuda/CUDAException.h>

#include "cuda/training.cuh"

namespace ndr {
namespace {

constexpr int ROW_THREADS = 256;
constexpr float NORM_FLOOR = 1e-12f;  // shorter quaternions are divided by this, as torch's normalize does

__global__ void __launch_bounds__(ROW_THREADS) activate_kernel(StoredShapes in, int count, Activated out) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count) return;
    const float4 q = reinterpret_cast<const float4*>(in.rotations)[i];
    const float inverse = 1 / fmaxf(NORM_FLOOR, sqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w));
    reinterpret_cast<float4*>(out.quats)[i] = make_float4(q.x * inverse, q.y * inverse, q.z * inverse, q.w * inverse);
    for (int k = 0; k < 3; k++) out.scales[3 * i + k] = expf(in.log_scales[3 * i + k]);
    out.opacities[i] = 1 / (1 + expf(-in.logits[i]));
}

__global__ void __launch_bounds__(ROW_THREADS)
activate_backward_kernel(const float* rotations, const float* scales, const float* opacities, Activated g, int count,
                         StoredGradients out) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count) return;
    const float4 q = reinterpret_cast<const float4*>(rotations)[i], gq = reinterpret_cast<const float4*>(g.quats)[i];
    const float length = sqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w), inverse = 1 / fmaxf(NORM_FLOOR, length);
    const float dot = q.x * gq.x + q.y * gq.y + q.z * gq.z + q.w * gq.w;
    const float along = length > NORM_FLOOR ? dot * inverse * inverse : 0;  // normalising removes this part
    reinterpret_cast<float4*>(out.rotations)[i] =
        make_float4((gq.x - along * q.x) * inverse, (gq.y - along * q.y) * inverse, (gq.z - along * q.z) * inverse,
                    (gq.w - along * q.w) * inverse);
    for (int k = 0; k < 3; k++) out.log_scales[3 * i + k] = g.scales[3 * i + k] * scales[3 * i + k];
    out.logits[i] = g.opacities[i] * opacities[i] * (1 - opacities[i]);
}

__global__ void __launch_bounds__(ROW_THREADS)
observe_kernel(const float* probe, const int* radii, int count, int first, float scale_x, float scale_y, float* gradient_sum,
               float* num_seen) {
    const int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i >= count || radii[i] <= 0) return;  // the probe of an unseen Gaussian is zero
    const float x = probe[4 * i + first] * scale_x, y = probe[4 * i + first + 1] * scale_y;
    gradient_sum[i] += sqrtf(x * x + y * y);
    num_seen[i] += 1;
}

unsigned rows_to_blocks(int64_t rows) { return unsigned((rows + ROW_THREADS - 1) / ROW_THREADS); }

}  // namespace

void launch_activate(const StoredShapes& in, int count, const Activated& out, cudaStream_t stream) {
    if (count == 0) return;
    activate_kernel<<<rows_to_blocks(count), ROW_THREADS, 0, stream>>>(in, count, out);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_activate_backward(const float* rotations, const float* scales, const float* opacities, const Activated& gradients,
                              int count, const StoredGradients& out, cudaStream_t stream) {
    if (count == 0) return;
    activate_backward_kernel<<<rows_to_blocks(count), ROW_THREADS, 0, stream>>>(rotations, scales, opacities, gradients, count,
                                                                              out);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_observe(const float* probe, const int* radii, int count, int first, float scale_x, float scale_y,
                    float* gradient_sum, float* num_seen, cudaStream_t stream) {
    if (count == 0) return;
    observe_kernel<<<rows_to_blocks(count), ROW_THREADS, 0, stream>>>(probe, radii, count, first, scale_x, scale_y,
                                                                    gradient_sum, num_seen);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
