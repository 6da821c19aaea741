// The operators of a compiled backend. Both libraries define the same ones, in namespaces ndraster_cpu and ndraster_cuda.
//
// camera: 16 numbers, rows 0 to 2 of world_to_camera (12), then fx fy cx cy; float64 on the CPU.
// precision: "fp16" (half-precision operands, float accumulation) or "fp32"; the CPU always computes in float.
// deterministic: no floating-point atomics, so equal inputs give equal bits; the CPU always does.
// saved (forward -> backward): whatever a backend keeps of its lists; it is only handed back.
#pragma once

#define NDR_SETTINGS                                                                                   \
    "Tensor camera, int width, int height, int sh_degree, bool antialiasing, float near, "            \
    "float scale_modifier, str precision, bool deterministic"

#define NDR_PARAMETERS \
    "Tensor means, Tensor quats, Tensor scales, Tensor opacities, Tensor? sh, Tensor? colors, Tensor? features, "

// -> color [3,H,W], depth [1,H,W], inverse_depth [1,H,W], transmittance [1,H,W], features [D,H,W] (or [0]),
//    median_ids [H,W] int32, radii [N] int32, means2d [N,2], saved
#define NDR_FORWARD_SCHEMA                                                                             \
    "forward(" NDR_PARAMETERS NDR_SETTINGS                                                             \
    ") -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor[])"

// color, depth, inverse_depth, transmittance, feature_map: the forward's images. Absent gradients are None.
// feature_geometry: the feature gradient also reaches alpha.
// -> g_means, g_quats, g_scales, g_opacities, g_sh (or [0]), g_colors (or [0]), g_features (or [0]), g_probe [N,4]
#define NDR_BACKWARD_SCHEMA                                                                            \
    "backward(" NDR_PARAMETERS NDR_SETTINGS                                                            \
    ", Tensor[] saved, Tensor color, Tensor depth, Tensor inverse_depth, " \
    "Tensor transmittance, Tensor feature_map, Tensor? g_color, Tensor? g_depth, Tensor? g_inverse_depth, " \
    "Tensor? g_alpha, Tensor? g_feature_map, bool feature_geometry"                                    \
    ") -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"

// Images [B,C,H,W]. -> mean SSIM (scalar), partials [3,B,C,H,W] (empty when not wanted): derivatives of the SSIM map with
// respect to the blurred image, blurred image^2 and blurred image*target.
#define NDR_SSIM_FORWARD_SCHEMA "ssim_forward(Tensor image, Tensor target, bool want_gradient) -> (Tensor, Tensor)"
#define NDR_SSIM_BACKWARD_SCHEMA \
    "ssim_backward(Tensor image, Tensor target, Tensor partials, Tensor gradient) -> Tensor"
