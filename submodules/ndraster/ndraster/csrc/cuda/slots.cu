// Sums without atomics, for equal bits from equal inputs: every contribution has a slot of its own, by its place in the
// lists of the tiles, and each Gaussian adds up its slots in that order.
#include <cub/cub.cuh>

#include "cuda/common.cuh"

namespace ndr {
namespace {

__global__ void iota_kernel(int* out, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = i;
}

__device__ int first_not_below(const int* sorted, int count, int value) {
    int low = 0;
    while (count > 0) {
        const int half = count / 2;
        const bool below = sorted[low + half] < value;
        low = below ? low + half + 1 : low, count = below ? count - half - 1 : half;
    }
    return low;
}

// A thread sums one column of one Gaussian.
__global__ void sum_kernel(Slots slots, int instances, int count, float* out, int stride, int columns) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= int64_t(count) * columns) return;
    const int gaussian = int(i / columns), column = int(i % columns);
    float sum = 0;
    for (int k = first_not_below(slots.ids, instances, gaussian); k < instances && slots.ids[k] == gaussian; k++)
        for (int r = 0; r < slots.rows; r++)
            sum += slots.values[(size_t(slots.positions[k]) * slots.rows + r) * slots.columns + column];
    out[size_t(gaussian) * stride + column] = sum;
}

}  // namespace

void launch_order_slots(const int* ids, int instances, int count, int* sorted_ids, int* positions, cudaStream_t stream) {
    if (instances == 0) return;
    const Scratch unsorted(sizeof(int) * instances);
    iota_kernel<<<blocks_for(instances, 256), 256, 0, stream>>>(unsorted.as<int>(), instances);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    int bits = 1;
    while ((int64_t(1) << bits) < count) bits++;
    size_t bytes = 0;
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(nullptr, bytes, ids, sorted_ids, unsorted.as<int>(), positions,
                                                  instances, 0, bits, stream));
    const Scratch scratch(bytes);
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(scratch.as<void>(), bytes, ids, sorted_ids, unsorted.as<int>(),
                                                  positions, instances, 0, bits, stream));
}

void launch_sum_slots(const Slots& slots, int instances, int count, float* out, int stride, int columns,
                      cudaStream_t stream) {
    if (count == 0 || columns == 0) return;
    sum_kernel<<<blocks_for(int64_t(count) * columns, 256), 256, 0, stream>>>(slots, instances, count, out, stride, columns);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
