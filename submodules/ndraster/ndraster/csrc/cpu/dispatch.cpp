// Choice of the instruction set at run time, and memory for the kernels.
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels.h"
#include "memory.h"

namespace ndr::cpu {

static const Kernels& choose() {
    const char* asked = std::getenv("NDRASTER_CPU_ISA");  // generic, avx2, avx512: for tests and comparisons
    const bool any = asked == nullptr || *asked == 0;
#ifdef NDR_X86
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (has_avx512 && (any || !std::strcmp(asked, "avx512"))) return avx512_kernels;
    if (has_avx2 && (any || std::strcmp(asked, "generic") != 0)) return avx2_kernels;
#endif
    (void)any;
    return generic_kernels;
}

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

Buffer::~Buffer() { std::free(data_); }

void* Buffer::bytes(size_t size) {
    if (size <= size_) return data_;
    std::free(data_);
    size_ = (size + size / 4 + 4095) / 4096 * 4096;
    data_ = std::aligned_alloc(4096, size_);
    if (data_ == nullptr) {
        size_ = 0;
        throw std::bad_alloc();
    }
    advise_large_pages(data_, size_);
    return data_;
}

}  // namespace ndr::cpu
