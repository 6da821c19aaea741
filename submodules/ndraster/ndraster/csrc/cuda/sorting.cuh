// Sorting pairs on the device, and finding keys among sorted ones.
#pragma once
#include <cub/cub.cuh>

#include "cuda/common.cuh"

namespace ndr {

template <typename Key>
void sort_pairs(const Key* keys, Key* sorted_keys, const int* values, int* sorted, int count, int bits,
                cudaStream_t stream) {
    size_t bytes = 0;
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, sorted_keys, values, sorted, count, 0, bits, stream));
    const Scratch scratch(bytes);
    C10_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(scratch.as<void>(), bytes, keys, sorted_keys, values, sorted,
                                                  count, 0, bits, stream));
}

// First of the sorted keys that is not below `key`.
template <typename Key>
__device__ int lower_bound(const Key* keys, int count, int key) {
    int low = 0;
    while (count > 0) {
        const int half = count / 2;
        const bool below = int(keys[low + half]) < key;
        low = below ? low + half + 1 : low, count = below ? count - half - 1 : half;
    }
    return low;
}

}  // namespace ndr
