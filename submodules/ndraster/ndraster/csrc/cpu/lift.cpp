// Training-free lifting: the transposed product with a teacher map, view by view.
#include "instance_rows.h"
#include "operators.h"
#include "resample.h"

namespace ndr::cpu {

namespace {

// [C, h, w] -> [h * w, stride]: a row per pixel, with a channel of ones for the weights, padded to whole chunks.
Tensor teacher_rows(const Tensor& teacher) {
    const int64_t channels = teacher.size(0), pixels = teacher.size(1) * teacher.size(2), chunk = 2 * kernels().lanes;
    Tensor rows = at::zeros({pixels, (channels + chunk) / chunk * chunk}, teacher.options());
    rows.narrow(1, 0, channels).copy_(teacher.reshape({channels, pixels}).t());
    rows.select(1, channels).fill_(1);
    return rows;
}

}  // namespace

void lift(const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Tensor& camera,
          int64_t width, int64_t height, bool antialiasing, double near, double scale_modifier, const Tensor& teacher,
          at::ArrayRef<double> placement, Tensor sums, Tensor weights) {
    const Camera view_camera = make_camera(camera, width, height, 0, antialiasing, near, scale_modifier);
    const Parameters p = {means, quats, scales, opacities, std::nullopt, std::nullopt, std::nullopt, view_camera};
    check(p), check(teacher, "teacher"), check(sums, "sums"), check(weights, "weights");
    TORCH_CHECK(sums.dim() == 2 && sums.size(0) == p.count() && sums.size(1) == teacher.size(0) &&
                    weights.numel() == p.count(),
                "ndraster: sums are ", sums.sizes(), ", weights ", weights.sizes(), "; expected [", p.count(), ", ",
                teacher.size(0), "] and [", p.count(), "]");
    const Grid grid(p.camera);
    const ListTensors made = build_lists(p, grid);
    const Lists lists = view(made.splats, made.ids, made.ranges);
    const Tensor rows = teacher_rows(teacher);
    const auto across = lerps_of({(float)placement[0], (float)placement[1]}, teacher.size(2), width);
    const auto down = lerps_of({(float)placement[2], (float)placement[3]}, teacher.size(1), height);
    const LiftImages images = {rows.data_ptr<float>(), (int)teacher.size(0) + 1, (int)rows.size(1),
                               (int)teacher.size(2),   across.data(),            down.data()};
    Totals totals;
    totals.features = sums.data_ptr<float>(), totals.width = (int)teacher.size(0);
    totals.weights = weights.data_ptr<float>();
    InstanceRows(lists, p.count(), grid.tiles(), totals)
        .run([](int, int) {},
             [&](int tile, const TileRows& out, Scratch& scratch) {
                 kernels().lift_tile(tile_task(lists, grid, p.camera, tile), images, out, scratch);
             });
}

}  // namespace ndr::cpu
