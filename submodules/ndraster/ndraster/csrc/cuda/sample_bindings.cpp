// Operators on features alone: a map that bilinearly reads the image, and lifting teacher maps onto Gaussians.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/feature_path.h"
#include "cuda/kernels.h"
#include "cuda/make_camera_ref.h"
#include "cuda/projection_path.h"
#include "shared/schema.h"

namespace ndr {
namespace {

Axis axis(at::ArrayRef<double> placement, int i) { return {float(placement[2 * i]), float(placement[2 * i + 1])}; }

TileGrid sample_grid(int64_t rows, int64_t columns, int64_t width, int64_t height, at::ArrayRef<double> placement) {
    return {int(columns), int(rows), int(width), int(height), axis(placement, 0), axis(placement, 1), true};
}

struct Geometry {
    const Tensor &means, &quats, &scales, &opacities;
};

// Splats of a view without colours, and lists of its samples.
struct View {
    Projected projected;
    TileLists lists;
    int64_t tiles;

    View(const Geometry& g, const CameraRef& camera, const TileGrid& grid, cudaStream_t stream)
        : projected(project_and_list(camera, make_parameters(g.means, g.quats, g.scales, g.opacities, {}, {}, {}), grid,
                                     g.means.options(), 0, stream, [] {})),
          lists(make_lists(grid, projected.splats, projected.ids, projected.ranges)),
          tiles(projected.ranges.size(0)) {}
};

std::tuple<Tensor, std::vector<Tensor>> sample_forward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Tensor& features,
    const Tensor& camera_numbers, int64_t width, int64_t height, bool antialiasing, double near, double scale_modifier,
    c10::string_view precision, bool, int64_t rows, int64_t columns, at::ArrayRef<double> placement) {
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const CameraRef camera = camera_ref(camera_numbers, width, height, 0, antialiasing, near, scale_modifier);
    const TileGrid grid = sample_grid(rows, columns, width, height, placement);
    const View view({means, quats, scales, opacities}, camera, grid, stream);
    const bool exact = precision == "fp32" || !use_tensor_cores();
    const WeightTensors weights = WeightTensors::make(view.projected.ids.size(0), view.tiles, true, exact, means.options());
    launch_sample_weights(view.lists, grid, weights.view(), stream);
    const PackedTensors packed = PackedTensors::make(features, exact, stream);
    const Tensor map = feature_product(view.lists, weights.view(), features, packed, stream);
    return {map, {view.projected.splats, view.projected.ids, view.projected.ranges, weights.masks, weights.rows[0], weights.rows[1]}};
}

using Five = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

Five sample_backward(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
                     const Tensor& features, const Tensor&, int64_t width, int64_t height, bool, double, double,
                     c10::string_view, bool deterministic, int64_t rows, int64_t columns,
                     at::ArrayRef<double> placement, at::TensorList saved,
                     const Tensor&, const Tensor& g_map, bool feature_geometry) {
    TORCH_CHECK(!feature_geometry, "sample_backward has no gradient to the geometry; render at the size of the image");
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const TileGrid grid = sample_grid(rows, columns, width, height, placement);
    const TileLists lists = make_lists(grid, saved[0], saved[1], saved[2]);
    const Weights weights = WeightTensors{saved[3], {saved[4], saved[5]}}.view();
    const FeatureGradient gradient(lists, weights, saved[1], features, PackedTensors{}, pixels_first(g_map),
                                   false, deterministic, stream);
    return {at::zeros_like(means), at::zeros_like(quats), at::zeros_like(scales), at::zeros_like(opacities), gradient.features};
}

void lift(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities,
          const Tensor& camera_numbers, int64_t width, int64_t height, bool antialiasing, double near,
          double scale_modifier, const Tensor& teacher, at::ArrayRef<double> placement, Tensor& sums, Tensor& weight_sums) {
    TORCH_CHECK(use_tensor_cores(), "lift needs a GPU of compute capability 8.0 or more");
    const c10::cuda::CUDAGuard guard(means.device());
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
    const CameraRef camera = camera_ref(camera_numbers, width, height, 0, antialiasing, near, scale_modifier);
    const View view({means, quats, scales, opacities}, camera, TileGrid::of_pixels(int(width), int(height)), stream);
    const WeightTensors weights = WeightTensors::make(view.projected.ids.size(0), view.tiles, true, false, means.options());
    const auto floats = means.options();
    Tensor images = at::empty({6, height, width}, floats), ids = at::empty({2, height, width}, floats.dtype(at::kInt));
    float* planes = images.data_ptr<float>();  // written and not used
    const int64_t area = height * width;
    launch_blend(view.lists, {planes, planes + 3 * area, planes + 4 * area, planes + 5 * area, ids.data_ptr<int>(),
                              ids.data_ptr<int>() + area}, weights.view(), stream);
    const Tensor rows = pixels_first(teacher.to(at::kFloat));
    const int channels = int(teacher.size(0));
    const bool direct = channels % 4 == 0;  // rows of 16-byte pieces
    Tensor added = direct ? sums : at::zeros({sums.size(0), (channels + 3) / 4 * 4}, floats);
    launch_gradient(view.lists, weights.view(),
                    {rows.const_data_ptr<float>(), channels, int(teacher.size(1)), int(teacher.size(2)),
                     axis(placement, 0), axis(placement, 1)},
                    {}, {added.data_ptr<float>(), int(added.size(1)), false, 0}, stream);
    if (!direct) sums.add_(added.narrow(1, 0, channels));
    launch_sum_weights(view.lists, weights.view(), weight_sums.data_ptr<float>(), stream);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(ndraster_cuda, m) {
    m.def(NDR_SAMPLE_FORWARD_SCHEMA);
    m.def(NDR_SAMPLE_BACKWARD_SCHEMA);
    m.def(NDR_LIFT_SCHEMA);
}

TORCH_LIBRARY_IMPL(ndraster_cuda, CUDA, m) {
    m.impl("sample_forward", sample_forward);
    m.impl("sample_backward", sample_backward);
    m.impl("lift", lift);
}

}  // namespace ndr
