// The kernels for generic.
#include "kernels.h"
#include <math.h>
#include <string.h>

#define NDR_ISA generic
#include "vec_generic.h"
#include "blend_kernels.h"
#include "product_kernels.h"
#include "feature_kernels.h"
#include "tile_kernels.h"
#include "sample_kernels.h"
#include "lift_kernels.h"
#include "ssim_kernels.h"

namespace ndr::cpu {
const Kernels generic_kernels = {"generic",
                              generic::LANES,
                              generic::forward_tile,
                              generic::backward_tile,
                              generic::sample_forward,
                              generic::sample_backward,
                              generic::lift_tile,
                              generic::load_channel,
                              generic::ssim_forward,
                              generic::ssim_backward};
}  // namespace ndr::cpu
