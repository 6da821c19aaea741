// The kernels for avx2.
#include "kernels.h"

#ifdef NDR_X86
#include <immintrin.h>
#include <math.h>
#include <string.h>

// From here to the end of the file; what was included above stays baseline code, which the linker may share.
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,popcnt")
#endif

#define NDR_ISA avx2
#include "vec_avx2.h"
#include "blend_kernels.h"
#include "product_kernels.h"
#include "feature_kernels.h"
#include "tile_kernels.h"
#include "sample_kernels.h"
#include "lift_kernels.h"
#include "ssim_kernels.h"

namespace ndr::cpu {
const Kernels avx2_kernels = {"avx2",
                              avx2::LANES,
                              avx2::forward_tile,
                              avx2::backward_tile,
                              avx2::sample_forward,
                              avx2::sample_backward,
                              avx2::lift_tile,
                              avx2::load_channel,
                              avx2::ssim_forward,
                              avx2::ssim_backward};
}  // namespace ndr::cpu

#ifdef __clang__
#pragma clang attribute pop
#endif
#endif  // NDR_X86
