// Features as halves for the matrix units: scaled by a power of two so that the largest nearly fills the format,
// channels padded to whole slices and put in the order of channel_column.
#include <algorithm>

#include "cuda/common.cuh"
#include "cuda/tensor_cores.cuh"

namespace ndr {
namespace {

__global__ void largest_kernel(const float* values, int64_t count, bool aligned, int* largest) {
    float most = 0;
    const int64_t thread = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, threads = int64_t(gridDim.x) * blockDim.x;
    const float4* fours = reinterpret_cast<const float4*>(values);
    const int64_t wide = aligned ? count / 4 : 0;
    for (int64_t i = thread; i < wide; i += threads) {
        const float4 v = fours[i];
        most = fmaxf(most, fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
    }
    for (int64_t i = 4 * wide + thread; i < count; i += threads) most = fmaxf(most, fabsf(values[i]));
    most = warp_max(most);
    if (threadIdx.x % 32 == 0 && most > 0) atomicMax(largest, __float_as_int(most));  // positive floats order like integers
}

// A thread packs two columns of a row.
__global__ void pack_kernel(const float* features, int64_t count, PackedFeatures packed, const float* largest) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const int pairs = packed.padded / 2;
    if (i == 0) *packed.scale = half_scale(*largest);
    if (i >= count * pairs) return;
    const int64_t row = i / pairs;
    const int column = 2 * int(i % pairs), in_group = column % 16;
    const int channel = column - in_group + in_group % 8 / 2 * 4 + in_group / 8 * 2;  // inverse of channel_column
    const float scale = half_scale(*largest);
    const float* from = features + row * packed.width + channel;
    const float a = channel < packed.width ? from[0] * scale : 0, b = channel + 1 < packed.width ? from[1] * scale : 0;
    const int64_t to = (row * packed.padded + column) / 2;
    reinterpret_cast<uint32_t*>(packed.rows[0])[to] = pack(high_half(a), high_half(b));
    if (packed.rows[1]) reinterpret_cast<uint32_t*>(packed.rows[1])[to] = pack(low_half(a), low_half(b));
}

}  // namespace

int slice_of(int feature_width) { return feature_width <= 32 ? 32 : 64; }

void launch_pack(const float* features, int64_t count, const PackedFeatures& packed, cudaStream_t stream) {
    const Scratch largest(sizeof(float));
    C10_CUDA_CHECK(cudaMemsetAsync(largest.as<void>(), 0, sizeof(float), stream));
    const int64_t values = count * packed.width;
    if (values > 0) {
        const bool aligned = reinterpret_cast<uintptr_t>(features) % sizeof(float4) == 0;
        const int blocks = std::min(blocks_for(values, 256 * 8), 132 * 16);
        largest_kernel<<<blocks, 256, 0, stream>>>(features, values, aligned, largest.as<int>());
        C10_CUDA_KERNEL_LAUNCH_CHECK();
    }
    pack_kernel<<<blocks_for(std::max<int64_t>(1, count * packed.padded / 2), 256), 256, 0, stream>>>(
        features, count, packed, largest.as<float>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
