// The operators of a compiled backend. Both libraries define the same ones, in namespaces ndraster_cpu and ndraster_cuda.
//
// camera: 16 numbers, rows 0 to 2 of world_to_camera (12), then fx fy cx cy; float64 on the CPU, or float32 on the GPU, where
// kernels read it (then a CUDA graph may be replayed with other numbers).
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
// max_instances: 0 = lists of exactly the needed size, for which CUDA waits once; else lists of this many (Gaussian, tile)
// pairs, without a wait: the deepest beyond are dropped. On CUDA the last of `saved` is the number needed, [1] int32.
#define NDR_FORWARD_SCHEMA                                                                             \
    "forward(" NDR_PARAMETERS NDR_SETTINGS ", int max_instances"                                       \
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

// means [F,3], quats, previous_quats [F,4], previous_offsets [F,k,3]; indices [F,k] int32, weights, distances [F,k].
// -> losses [3] (rigid, rot, iso), kept [F,8]: mean and turn of each row
#define NDR_RIGIDITY_GRAPH "Tensor previous_quats, Tensor previous_offsets, Tensor indices, Tensor weights, Tensor distances"
#define NDR_RIGIDITY_FORWARD_SCHEMA "rigidity_forward(Tensor means, Tensor quats, " NDR_RIGIDITY_GRAPH ") -> (Tensor, Tensor)"

// incoming_offsets [F+1], incoming_pairs [F k] int32: the pairs that end in each row; gradient [3]. -> g_means, g_quats
#define NDR_RIGIDITY_BACKWARD_SCHEMA                                                                          \
    "rigidity_backward(Tensor kept, " NDR_RIGIDITY_GRAPH ", Tensor incoming_offsets, Tensor incoming_pairs, " \
    "Tensor gradient) -> (Tensor, Tensor)"

#define NDR_GEOMETRY "Tensor means, Tensor quats, Tensor scales, Tensor opacities"

// Adds one view: sums [N,C] += sum over pixels of w t, weights [N] += sum of w, where t is the teacher's map [C,h,w]
// read bilinearly: pixel (i, j) reads cell (start_x + step_x j, start_y + step_y i), placement being these four numbers.
#define NDR_LIFT_SCHEMA                                                                                            \
    "lift(" NDR_GEOMETRY ", Tensor camera, int width, int height, bool antialiasing, float near, float scale_modifier, " \
    "Tensor teacher, float[] placement, Tensor(a!) sums, Tensor(b!) weights) -> ()"

// The feature map [D, rows, columns] that bilinearly reads the map at image size: cell (i, j) reads pixel
// (start_x + step_x j, start_y + step_y i), 0 being the centre of the first pixel; placement is these four numbers.
#define NDR_SAMPLE_SETTINGS                                                                                        \
    "Tensor camera, int width, int height, bool antialiasing, float near, float scale_modifier, str precision, "   \
    "bool deterministic, int rows, int columns, float[] placement"
#define NDR_SAMPLE_FORWARD_SCHEMA \
    "sample_forward(" NDR_GEOMETRY ", Tensor features, " NDR_SAMPLE_SETTINGS ") -> (Tensor, Tensor[])"

// -> g_means, g_quats, g_scales, g_opacities (zeros unless feature_geometry), g_features
#define NDR_SAMPLE_BACKWARD_SCHEMA                                                                                 \
    "sample_backward(" NDR_GEOMETRY ", Tensor features, " NDR_SAMPLE_SETTINGS                                      \
    ", Tensor[] saved, Tensor map, Tensor g_map, bool feature_geometry) -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
