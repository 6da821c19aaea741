// Structural similarity: bands of rows of every plane in parallel, summed in a fixed order.
#include <numeric>

#include "kernels.h"
#include "operators.h"
#include "parallel.h"

namespace ndr::cpu {

namespace {

constexpr int BAND_ROWS = 64;

// work(band, plane offset, index, thread) for every band of rows of every plane of `image`.
template <class Work>
void for_bands(const Tensor& image, const Tensor& target, const Work& work) {
    const int height = (int)image.size(2), width = (int)image.size(3);
    const int64_t bands = (height + BAND_ROWS - 1) / BAND_ROWS, planes = image.size(0) * image.size(1);
    for_blocks(planes * bands, 1, [&](int64_t index, int64_t, int64_t thread) {
        const int64_t offset = index / bands * height * width;
        const int first = (int)(index % bands) * BAND_ROWS;
        const SsimBand band = {
            image.data_ptr<float>() + offset,   target.data_ptr<float>() + offset, width, height, first,
            std::min(height, first + BAND_ROWS)};
        work(band, offset, index, thread);
    });
}

}  // namespace

std::tuple<Tensor, Tensor> ssim_forward(const Tensor& image, const Tensor& target, bool want_gradient) {
    const int64_t pixels = image.numel();
    Tensor partials = at::empty({0}, image.options());
    if (want_gradient) partials = image.new_empty({3, image.size(0), image.size(1), image.size(2), image.size(3)});
    const int64_t bands = (image.size(2) + BAND_ROWS - 1) / BAND_ROWS;
    std::vector<double> sums(image.size(0) * image.size(1) * bands, 0.0);
    std::vector<Scratch> scratch(at::get_num_threads());
    float* data = partials.data_ptr<float>();
    for_bands(image, target, [&](const SsimBand& band, int64_t offset, int64_t index, int64_t thread) {
        float* const planes[3] = {data + offset, data + pixels + offset, data + 2 * pixels + offset};
        sums[index] = kernels().ssim_forward(band, want_gradient ? planes : nullptr, scratch[thread]);
    });
    const double mean = std::accumulate(sums.begin(), sums.end(), 0.0) / (double)pixels;
    return {at::scalar_tensor(mean, image.options()), partials};
}

Tensor ssim_backward(const Tensor& image, const Tensor& target, const Tensor& partials, const Tensor& gradient) {
    const int64_t pixels = image.numel();
    Tensor out = at::empty_like(image);
    const float scale = (float)(gradient.item<double>() / (double)pixels);
    std::vector<Scratch> scratch(at::get_num_threads());
    const float* data = partials.data_ptr<float>();
    for_bands(image, target, [&](const SsimBand& band, int64_t offset, int64_t, int64_t thread) {
        const float* const planes[3] = {data + offset, data + pixels + offset, data + 2 * pixels + offset};
        kernels().ssim_backward(band, planes, scale, out.data_ptr<float>() + offset, scratch[thread]);
    });
    return out;
}

}  // namespace ndr::cpu
