// One thread a Gaussian: parameters to splats, and splat gradients back to parameters. Colours come from shading.cu.
#include "cuda/camera_ref.cuh"
#include "cuda/common.cuh"

namespace ndr {
namespace {

struct Row {
    float mean[3], quat[4], scale[3], opacity;
    __device__ Row(const Parameters& p, int i) {
        for (int k = 0; k < 3; k++) mean[k] = p.means[3 * i + k], scale[k] = p.scales[3 * i + k];
        for (int k = 0; k < 4; k++) quat[k] = p.quats[4 * i + k];
        opacity = p.opacities[i];
    }
};

__global__ void project_kernel(CameraRef ref, Parameters p, Splat* splats, int* radii, float2* means2d,
                               uint32_t* depth_keys, int* indices) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.count) return;
    const Camera camera = load(ref);
    const Row row(p, i);
    Splat s = {};
    Extent extent = {};
    const bool visible = project(camera, row.mean, row.quat, row.scale, row.opacity, s, extent);
    if (!visible) s = Splat{};
    float rgb[3] = {0, 0, 0};
    if (visible && p.colors)
        for (int c = 0; c < 3; c++) rgb[c] = p.colors[3 * i + c];
    s.r = rgb[0], s.g = rgb[1], s.b = rgb[2];
    float4* out = reinterpret_cast<float4*>(splats + i);
    out[0] = make_float4(s.x, s.y, s.conic_xx, s.conic_xy), out[1] = make_float4(s.conic_yy, s.opacity, s.z, s.reach2);
    out[2] = make_float4(s.r, s.g, s.b, s.inverse_z);
    radii[i] = visible ? extent.radius : 0;
    means2d[i] = make_float2(s.x, s.y);
    depth_keys[i] = visible ? __float_as_uint(s.z) : 0xffffffffu;
    indices[i] = i;
}

__global__ void project_backward_kernel(CameraRef ref, Parameters p, const Splat* splats, const SplatGrad* grads,
                                        ParameterGrads out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.count) return;
    const Camera camera = load(ref);
    float g_mean[3] = {0, 0, 0}, g_quat[4] = {0, 0, 0, 0}, g_scale[3] = {0, 0, 0}, g_opacity = 0;
    SplatGrad g = {};
    if (splats[i].opacity > 0) {  // an invisible splat was left at zero
        const Row row(p, i);
        g = grads[i];
        project_backward(camera, row.mean, row.quat, row.scale, row.opacity, g, g_mean, g_quat, g_scale, g_opacity);
    }
    if (p.colors) out.colors[3 * i] = g.r, out.colors[3 * i + 1] = g.g, out.colors[3 * i + 2] = g.b;
    for (int k = 0; k < 3; k++) out.means[3 * i + k] = g_mean[k], out.scales[3 * i + k] = g_scale[k];
    for (int k = 0; k < 4; k++) out.quats[4 * i + k] = g_quat[k];
    out.opacities[i] = g_opacity;
    reinterpret_cast<float4*>(out.probe)[i] = make_float4(g.x, g.y, g.abs_x, g.abs_y);
}

}  // namespace

void launch_project(const CameraRef& camera, const Parameters& p, Splat* splats, int* radii, float* means2d,
                    uint32_t* depth_keys, int* indices, cudaStream_t stream) {
    if (p.count == 0) return;
    project_kernel<<<blocks_for(p.count, 128), 128, 0, stream>>>(
        camera, p, splats, radii, reinterpret_cast<float2*>(means2d), depth_keys, indices);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void launch_project_backward(const CameraRef& camera, const Parameters& p, const Splat* splats,
                             const SplatGrad* grads, const ParameterGrads& out, cudaStream_t stream) {
    if (p.count == 0) return;
    project_backward_kernel<<<blocks_for(p.count, 128), 128, 0, stream>>>(camera, p, splats, grads, out);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
