// Projection of all Gaussians and the depth-sorted list of every tile.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "kernels.h"
#include "shared/make_camera.h"
#include "shared/projection.h"

namespace ndr::cpu {

// The operators' parameters (schema.h).
struct Parameters {
    at::Tensor means, quats, scales, opacities;
    std::optional<at::Tensor> sh, colors, features;
    Camera camera;

    int64_t count() const { return means.size(0); }
    int feature_width() const { return features ? (int)features->size(1) : 0; }
    int sh_stored() const { return sh ? (int)sh->size(1) : 0; }
};

// Intervals of pixels along one axis, both ends included and ascending; they may overlap and leave gaps.
class Intervals {
  public:
    Intervals(std::vector<int> first, std::vector<int> last, int size);
    int count() const { return (int)first.size(); }
    // The first interval with a pixel centre at or beyond `px`, and one past the last with a centre at or before it.
    int begin(float px) const { return from_[(int)clamp_to(std::ceil(px - 0.5f), 0, size_)]; }
    int end(float px) const { return until_[(int)clamp_to(std::floor(px + 0.5f), 0, size_)]; }

    const std::vector<int> first, last;

  private:
    float size_;
    std::vector<int> from_, until_;
};

// The rectangles of pixels that lists are kept for: TILE px tiles over the image unless told otherwise.
struct Grid {
    Intervals columns, rows;
    explicit Grid(const Camera& camera);
    Grid(Intervals across, Intervals down) : columns(std::move(across)), rows(std::move(down)) {}
    int tiles() const { return columns.count() * rows.count(); }
};

// Views into the tensors handed from forward to backward. An instance is one Gaussian in one tile; instances are
// numbered Gaussian by Gaussian, and each has one entry in a tile's list.
struct Lists {
    const Splat* splats;     // [N]
    const int32_t* ids;      // [M] Gaussian of each entry, tile by tile, front to back
    const int32_t* entries;  // [M] entry of each instance, ascending within a Gaussian
    const int32_t* first;    // [N] first instance of each Gaussian
    const int32_t* counts;   // [N] its number of instances
    const int64_t* ranges;   // [tiles + 1] first entry of each tile
    int64_t instances;
};

struct ListTensors {
    at::Tensor splats, ids, ranges, radii, means2d;
};

Lists view(const at::Tensor& splats, const at::Tensor& ids, const at::Tensor& ranges);

inline TileTask tile_task(const Lists& lists, const Grid& grid, const Camera& camera, int tile) {
    return {lists.splats,
            lists.ids + lists.ranges[tile],
            (int)(lists.ranges[tile + 1] - lists.ranges[tile]),
            grid.columns.first[tile % grid.columns.count()],
            grid.rows.first[tile / grid.columns.count()],
            camera.width,
            camera.height};
}

// Contiguous float32 on the CPU, or an error.
void check(const at::Tensor& tensor, const char* name);
void check(const Parameters& parameters);

ListTensors build_lists(const Parameters& parameters, const Grid& grid);

}  // namespace ndr::cpu
