#include <torch/library.h>

#include "operators.h"
#include "shared/schema.h"

TORCH_LIBRARY(ndraster_cpu, library) {
    library.def(NDR_FORWARD_SCHEMA, ndr::cpu::forward);
    library.def(NDR_BACKWARD_SCHEMA, ndr::cpu::backward);
    library.def(NDR_LIFT_SCHEMA, ndr::cpu::lift);
    library.def(NDR_SAMPLE_FORWARD_SCHEMA, ndr::cpu::sample_forward);
    library.def(NDR_SAMPLE_BACKWARD_SCHEMA, ndr::cpu::sample_backward);
    library.def(NDR_SSIM_FORWARD_SCHEMA, ndr::cpu::ssim_forward);
    library.def(NDR_SSIM_BACKWARD_SCHEMA, ndr::cpu::ssim_backward);
    library.def(NDR_RIGIDITY_FORWARD_SCHEMA, ndr::cpu::rigidity_forward);
    library.def(NDR_RIGIDITY_BACKWARD_SCHEMA, ndr::cpu::rigidity_backward);
}
