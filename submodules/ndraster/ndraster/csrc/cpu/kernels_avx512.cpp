// The kernels for avx512.
#include "kernels.h"

#ifdef NDR_X86
#include <immintrin.h>
#include <math.h>
#include <string.h>

// From here to the end of the file; what was included above stays baseline code, which the linker may share.
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,bmi,bmi2,popcnt"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,bmi,bmi2,popcnt")
#endif

#define NDR_ISA avx512
#include "vec_avx512.h"
#include "blend_kernels.h"
#include "product_kernels.h"
#include "feature_kernels.h"
#include "tile_kernels.h"
#include "sample_kernels.h"
#include "lift_kernels.h"
#include "ssim_kernels.h"

namespace ndr::cpu {
const Kernels avx512_kernels = {"avx512",
                              avx512::LANES,
                              avx512::forward_tile,
                              avx512::backward_tile,
                              avx512::sample_forward,
                              avx512::sample_backward,
                              avx512::lift_tile,
                              avx512::load_channel,
                              avx512::ssim_forward,
                              avx512::ssim_backward};
}  // namespace ndr::cpu

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif  // NDR_X86
