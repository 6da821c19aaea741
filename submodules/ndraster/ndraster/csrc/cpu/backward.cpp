// Backward: every tile leaves a row of gradients per list entry, every Gaussian sums its rows, then comes projection.
#include "instance_rows.h"
#include "operators.h"
#include "parallel.h"
#include "parameter_gradients.h"

namespace ndr::cpu {

namespace {

// The feature map's gradient for a band of tiles, tile by tile: a plane's rows are read along, not in pieces of 64
// bytes from every plane in turn, which would miss the TLB each time.
class MapGradient {
  public:
    MapGradient(const float* planes, int channels, const Lists& lists, const Grid& grid, const Camera& camera)
        : planes_(planes), channels_(channels), lists_(lists), grid_(grid), camera_(camera) {
        const int chunk = 2 * kernels().lanes;
        tile_size_ = (size_t)(channels + chunk - 1) / chunk * chunk * TILE * TILE;
    }

    void load(int first, int last) {
        if (planes_ == nullptr) return;
        first_ = first;
        tiles_ = band_.floats((last - first) * tile_size_);
        const size_t plane = (size_t)camera_.width * camera_.height;
        for_blocks(channels_, 1, [&](int64_t channel, int64_t, int64_t) {
            for (int tile = first; tile < last; tile++)
                kernels().load_channel(tile_task(lists_, grid_, camera_, tile), planes_ + channel * plane, (int)channel,
                                       tiles_ + (tile - first) * tile_size_);
        });
    }

    const float* of(int tile) const { return planes_ ? tiles_ + (tile - first_) * tile_size_ : nullptr; }

  private:
    const float* planes_;
    int channels_, first_ = 0;
    const Lists& lists_;
    const Grid& grid_;
    const Camera& camera_;
    size_t tile_size_;
    Buffer band_;
    float* tiles_ = nullptr;
};

const float* data(const Optional& t) { return t && t->numel() ? t->data_ptr<float>() : nullptr; }

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const Tensor& means, const Tensor& quats, const Tensor& scales, const Tensor& opacities, const Optional& sh,
    const Optional& colors, const Optional& features, const Tensor& camera, int64_t width, int64_t height,
    int64_t sh_degree, bool antialiasing, double near, double scale_modifier, c10::string_view, bool,
    at::TensorList saved, const Tensor& color, const Tensor& depth, const Tensor& inverse_depth,
    const Tensor& transmittance, const Tensor& feature_map, const Optional& g_color, const Optional& g_depth,
    const Optional& g_inverse_depth, const Optional& g_alpha, const Optional& g_feature_map, bool feature_geometry) {
    const Parameters p = {
        means, quats,  scales,   opacities,
        sh,    colors, features, make_camera(camera, width, height, sh_degree, antialiasing, near, scale_modifier)};
    const Lists lists = view(saved[0], saved[1], saved[2]);
    const float* g_map = features ? data(g_feature_map) : nullptr;
    const bool geometry = g_color || g_depth || g_inverse_depth || g_alpha || (g_map && feature_geometry);
    const BackwardImages images = {color.data_ptr<float>(),
                                   depth.data_ptr<float>(),
                                   inverse_depth.data_ptr<float>(),
                                   transmittance.data_ptr<float>(),
                                   feature_map.data_ptr<float>(),
                                   data(g_color),
                                   data(g_depth),
                                   data(g_inverse_depth),
                                   data(g_alpha),
                                   g_map,
                                   features ? features->data_ptr<float>() : nullptr,
                                   p.feature_width(),
                                   feature_geometry,
                                   geometry};
    const Gradients out = make_gradients(p);
    const Tensor sums = at::zeros({geometry ? p.count() : 0, GRADIENT_ROW}, means.options());
    Totals totals;
    if (geometry) totals.splats = sums.data_ptr<float>();
    if (g_map) totals.features = out.features.data_ptr<float>(), totals.width = p.feature_width();
    const Grid grid(p.camera);
    MapGradient map_gradient(g_map, p.feature_width(), lists, grid, p.camera);
    if (geometry || g_map)
        InstanceRows(lists, p.count(), grid.tiles(), totals)
            .run([&](int first, int last) { map_gradient.load(first, last); },
                 [&](int tile, TileRows rows, Scratch& scratch) {
                     rows.map_gradient = map_gradient.of(tile);
                     kernels().backward_tile(tile_task(lists, grid, p.camera, tile), images, rows, scratch);
                 });
    parameter_gradients(p, lists, totals.splats, out);
    return {out.means, out.quats, out.scales, out.opacities, out.sh, out.colors, out.features, out.probe};
}

}  // namespace ndr::cpu
