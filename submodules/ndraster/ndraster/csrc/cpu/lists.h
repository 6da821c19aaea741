// Projection of all Gaussians and the depth-sorted list of every tile.
#pragma once
#include <ATen/ATen.h>

#include <optional>

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

// A grid of TILE px tiles over the image.
struct Grid {
    int columns, rows;
    explicit Grid(const Camera& c) : columns((c.width + TILE - 1) / TILE), rows((c.height + TILE - 1) / TILE) {}
    int tiles() const { return columns * rows; }
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

ListTensors build_lists(const Parameters& parameters);

}  // namespace ndr::cpu
