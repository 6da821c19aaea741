// The operators of schema.h on the CPU.
#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <tuple>

namespace ndr::cpu {

using at::Tensor;
using Optional = std::optional<Tensor>;

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, std::vector<Tensor>> forward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool,
    int64_t max_instances);

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool,
    at::TensorList saved, const Tensor& color, const Tensor& depth, const Tensor& inverse_depth,
    const Tensor& transmittance, const Tensor& feature_map, const Optional& g_color, const Optional& g_depth,
    const Optional& g_inverse_depth, const Optional& g_alpha, const Optional& g_feature_map, bool feature_geometry);

void lift(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Tensor& camera,
          int64_t width, int64_t height, bool antialiasing, double near, double scale_modifier, const Tensor& teacher,
          at::ArrayRef<double> placement, Tensor sums, Tensor weights);

std::tuple<Tensor, std::vector<Tensor>> sample_forward(const Tensor& means, const Tensor& quats, const Tensor& scales,
                                                       const Tensor& opacities, const Tensor& features,
                                                       const Tensor& camera, int64_t width, int64_t height,
                                                       bool antialiasing, double near, double scale_modifier,
                                                       c10::string_view, bool, int64_t rows, int64_t columns,
                                                       at::ArrayRef<double> placement);

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> sample_backward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Tensor& features,
    const Tensor& camera, int64_t width, int64_t height, bool antialiasing, double near, double scale_modifier,
    c10::string_view, bool, int64_t rows, int64_t columns, at::ArrayRef<double> placement, at::TensorList saved,
    const Tensor& map, const Tensor& g_map, bool feature_geometry);

std::tuple<Tensor, Tensor> ssim_forward(const Tensor& image, const Tensor& target, bool want_gradient);
Tensor ssim_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient);

std::tuple<Tensor, Tensor> rigidity_forward(const Tensor& means, const Tensor& quats, const Tensor& previous_quats,
                                            const Tensor& previous_offsets, const Tensor& indices, const Tensor& weights,
                                            const Tensor& distances);

std::tuple<Tensor, Tensor> rigidity_backward(const Tensor& kept, const Tensor& previous_quats, const Tensor& previous_offsets,
                                             const Tensor& indices, const Tensor& weights, const Tensor& distances,
                                             const Tensor& incoming_offsets, const Tensor& incoming_pairs,
                                             const Tensor& gradient);

}  // namespace ndr::cpu
