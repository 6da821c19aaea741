// From gradients of splats to gradients of the parameters.
#pragma once
#include "lists.h"

namespace ndr::cpu {

struct Gradients {
    at::Tensor means, quats, scales, opacities, sh, colors, features, probe;
};

// Unset but for `features`, which are zero; [0] where there is no parameter.
Gradients make_gradients(const Parameters& p);

// totals: [N, GRADIENT_ROW], or null when no gradient reaches the geometry.
void parameter_gradients(const Parameters& p, const Lists& lists, const float* totals, const Gradients& out);

}  // namespace ndr::cpu
