// Sums without atomics, for equal bits from equal inputs: every contribution has a slot of its own, by its place in the
// lists of the tiles, and each Gaussian adds up its slots in that order.
#include "cuda/sorting.cuh"

namespace ndr {
namespace {

__global__ void iota_kernel(int* out, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = i;
}

// A thread sums one column of one Gaussian.
__global__ void sum_kernel(Slots slots, int instances, int count, float* out, int stride, int columns) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= int64_t(count) * columns) return;
    const int gaussian = int(i / columns), column = int(i % columns);
    float sum = 0;
    for (int k = lower_bound(slots.ids, instances, gaussian); k < instances && slots.ids[k] == gaussian; k++)
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
    sort_pairs(ids, sorted_ids, unsorted.as<int>(), positions, instances, bits, stream);
}

void launch_sum_slots(const Slots& slots, int instances, int count, float* out, int stride, int columns,
                      cudaStream_t stream) {
    if (count == 0 || columns == 0) return;
    sum_kernel<<<blocks_for(int64_t(count) * columns, 256), 256, 0, stream>>>(slots, instances, count, out, stride, columns);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace ndr
