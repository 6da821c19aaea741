// The feature map at another size: lists for cells of outputs, then every cell on its own.
#include "instance_rows.h"
#include "memory.h"
#include "operators.h"
#include "parameter_gradients.h"
#include "resample.h"

namespace ndr::cpu {

namespace {

// The pixels that each block of SAMPLE_CELL outputs reads, along one axis.
Intervals sources(const std::vector<Lerp>& outputs, int size) {
    std::vector<int> first, last;
    for (size_t i = 0; i < outputs.size(); i += SAMPLE_CELL) {
        first.push_back(outputs[i].low);
        last.push_back(outputs[std::min(i + SAMPLE_CELL, outputs.size()) - 1].high);
    }
    return {std::move(first), std::move(last), size};
}

// A map of rows x columns outputs over the camera's image.
struct Sampling {
    std::vector<Lerp> columns, rows;
    Grid grid;

    Sampling(const Camera& camera, int64_t map_rows, int64_t map_columns, at::ArrayRef<double> placement)
        : columns(lerps_of({(float)placement[0], (float)placement[1]}, camera.width, map_columns)),
          rows(lerps_of({(float)placement[2], (float)placement[3]}, camera.height, map_rows)),
          grid(sources(columns, camera.width), sources(rows, camera.height)) {}

    SampleTask task(const Lists& lists, const Camera& camera, int cell) const {
        const int across = grid.columns.count();
        return {tile_task(lists, grid, camera, cell), columns.data(),       rows.data(),
                cell % across * SAMPLE_CELL,          cell / across * SAMPLE_CELL,
                (int)columns.size(),                  (int)rows.size()};
    }
};

}  // namespace

std::tuple<Tensor, std::vector<Tensor>> sample_forward(const Tensor& means, const Tensor& quats, const Tensor& scales,
                                                       const Tensor& opacities, const Tensor& features,
                                                       const Tensor& camera, int64_t width, int64_t height,
                                                       bool antialiasing, double near, double scale_modifier,
                                                       c10::string_view, bool, int64_t rows, int64_t columns,
                                                       at::ArrayRef<double> placement) {
    const Camera view_camera = make_camera(camera, width, height, 0, antialiasing, near, scale_modifier);
    const Parameters p = {means, quats, scales, opacities, std::nullopt, std::nullopt, features, view_camera};
    check(p);
    const Sampling sampling(p.camera, rows, columns, placement);
    const ListTensors made = build_lists(p, sampling.grid);
    const Lists lists = view(made.splats, made.ids, made.ranges);
    const Tensor map = large_empty({p.feature_width(), rows, columns}, means.options());
    const SampleImages images = {features.data_ptr<float>(), p.feature_width(), map.data_ptr<float>(), nullptr};
    std::vector<Scratch> scratch(at::get_num_threads());
    for_blocks(sampling.grid.tiles(), 1, [&](int64_t cell, int64_t, int64_t thread) {
        kernels().sample_forward(sampling.task(lists, p.camera, (int)cell), images, scratch[thread]);
    });
    return {map, {made.splats, made.ids, made.ranges}};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> sample_backward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Tensor& features,
    const Tensor& camera, int64_t width, int64_t height, bool antialiasing, double near, double scale_modifier,
    c10::string_view, bool, int64_t rows, int64_t columns, at::ArrayRef<double> placement, at::TensorList saved, const Tensor&, const Tensor& g_map,
    bool feature_geometry) {
    const Camera view_camera = make_camera(camera, width, height, 0, antialiasing, near, scale_modifier);
    const Parameters p = {means, quats, scales, opacities, std::nullopt, std::nullopt, features, view_camera};
    check(p), check(g_map, "the map's gradient");
    const Sampling sampling(p.camera, rows, columns, placement);
    const Lists lists = view(saved[0], saved[1], saved[2]);
    const SampleImages images = {features.data_ptr<float>(), p.feature_width(), nullptr, g_map.data_ptr<float>()};
    const Gradients out = make_gradients(p);
    const Tensor sums = at::zeros({feature_geometry ? p.count() : 0, GRADIENT_ROW}, means.options());
    Totals totals;
    if (feature_geometry) totals.splats = sums.data_ptr<float>();
    totals.features = out.features.data_ptr<float>(), totals.width = p.feature_width();
    InstanceRows(lists, p.count(), sampling.grid.tiles(), totals)
        .run([](int, int) {},
             [&](int cell, const TileRows& out_rows, Scratch& scratch) {
                 kernels().sample_backward(sampling.task(lists, p.camera, cell), images, out_rows, scratch);
             });
    parameter_gradients(p, lists, totals.splats, out);
    return {out.means, out.quats, out.scales, out.opacities, out.features};
}

}  // namespace ndr::cpu
