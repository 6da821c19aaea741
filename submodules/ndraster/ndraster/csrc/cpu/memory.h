// Large arrays on large pages: touching fresh 4 KB pages costs more than filling them, and strides miss the TLB.
#pragma once
#include <ATen/ATen.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace ndr::cpu {

// Ask for large pages for what was just allocated and not yet touched; only a hint.
inline void advise_large_pages(void* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
    constexpr size_t PAGE = 4096, WORTH_IT = size_t(4) << 20;
    if (bytes < WORTH_IT) return;
    const size_t begin = ((size_t)data + PAGE - 1) / PAGE * PAGE, end = ((size_t)data + bytes) / PAGE * PAGE;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
    (void)data, (void)bytes;
}

inline at::Tensor large_empty(at::IntArrayRef sizes, const at::TensorOptions& options) {
    at::Tensor t = at::empty(sizes, options);
    advise_large_pages(t.data_ptr(), t.nbytes());
    return t;
}

}  // namespace ndr::cpu
