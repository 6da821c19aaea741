// Adam (Kingma and Ba 2015) over all parameter tensors at once, on all Gaussians or on the visible ones only. Reads 16 and
// writes 12 bytes a value, which is all the time it takes.
#include <c10/cuda/CUDAException.h>

#include "cuda/adam.cuh"

namespace ndr {
namespace {

constexpr int THREADS = 256, VALUES = 4, CHUNK = THREADS * VALUES;

// One more step; the rate over 1 - beta1^t and one over the root of 1 - beta2^t, both 1 without bias correction.
__global__ void prepare_kernel(AdamTensors all, double beta1, double beta2, float2* corrected) {
    const int i = threadIdx.x;
    if (i >= all.count) return;
    const AdamTensor& t = all.tensors[i];
    double first = 1, second = 1;
    if (t.step) {
        const double step = double(*t.step) + 1;
        *t.step = float(step);
        first = 1 - pow(beta1, step), second = 1 - pow(beta2, step);
    }
    corrected[i] = make_float2(float(*t.rate / first), float(1 / sqrt(second)));
}

__device__ __forceinline__ void load(const float* from, const AdamTensor& t, int64_t at, float v[VALUES]) {
    if (t.aligned && at + VALUES <= t.size) {
        const float4 all = *reinterpret_cast<const float4*>(from + at);
        v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
        return;
    }
    for (int k = 0; k < VALUES; k++) v[k] = at + k < t.size ? from[at + k] : 0;
}

__device__ __forceinline__ void store(float* to, const AdamTensor& t, int64_t at, const float v[VALUES]) {
    if (t.aligned && at + VALUES <= t.size) {
        *reinterpret_cast<float4*>(to + at) = make_float4(v[0], v[1], v[2], v[3]);
        return;
    }
    for (int k = 0; k < VALUES; k++)
        if (at + k < t.size) to[at + k] = v[k];
}

// Which of this thread's values belong to Gaussians that are seen; false: none.
__device__ __forceinline__ bool seen(const int* radii, const AdamTensor& t, int64_t at, bool wanted[VALUES]) {
    bool any = false;
    for (int k = 0; k < VALUES; k++) {
        wanted[k] = at + k < t.size && (radii == nullptr || radii[(at + k) / t.row] > 0);
        any |= wanted[k];
    }
    return any;
}

__global__ void __launch_bounds__(THREADS)
adam_kernel(AdamTensors all, const float2* corrected, float keep1, float keep2, float eps, const int* radii) {
    int64_t chunk = blockIdx.x;
    int i = 0;
    for (; i < all.count; i++) {
        const int64_t chunks = (all.tensors[i].size + CHUNK - 1) / CHUNK;
        if (chunk < chunks) break;
        chunk -= chunks;
    }
    const AdamTensor& t = all.tensors[i];
    const int64_t at = chunk * CHUNK + threadIdx.x * VALUES;
    bool wanted[VALUES];
    if (!seen(radii, t, at, wanted)) return;
    float p[VALUES], g[VALUES], m[VALUES], v[VALUES];
    load(t.parameter, t, at, p), load(t.gradient, t, at, g), load(t.mean, t, at, m), load(t.square, t, at, v);
    const float rate = corrected[i].x, root = corrected[i].y;
    for (int k = 0; k < VALUES; k++) {
        if (!wanted[k]) continue;
        m[k] += (1 - keep1) * (g[k] - m[k]);
        v[k] += (1 - keep2) * (g[k] * g[k] - v[k]);
        p[k] -= rate * m[k] / (sqrtf(v[k]) * root + eps);
    }
    store(t.parameter, t, at, p), store(t.mean, t, at, m), store(t.square, t, at, v);
}

}  // namespace

void launch_adam(const AdamTensors& all, const AdamSettings& settings, float2* corrected, cudaStream_t stream) {
    int64_t chunks = 0;
    for (int i = 0; i < all.count; i++) chunks += (all.tensors[i].size + CHUNK - 1) / CHUNK;
    if (chunks == 0) return;
    prepare_kernel<<<1, MAX_ADAM_TENSORS, 0, stream>>>(all, settings.beta1, settings.beta2, corrected);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    adam_kernel<<<unsigned(chunks), THREADS, 0, stream>>>(all, corrected, float(settings.beta1), float(settings.beta2),
                                                        float(settings.eps), settings.radii);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
