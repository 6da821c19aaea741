// Projection, one depth sort of the visible Gaussians, and binning in depth order: the lists of all tiles come out
// sorted without sorting (tile, Gaussian) pairs, and the same for any number of threads.
#include "lists.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "parallel.h"
#include "shared/sh.h"

namespace ndr::cpu {

namespace {

struct TileRect {
    uint16_t left, top, right, bottom;  // right and bottom excluded
    float half_width;                   // px, of the reach
};

// Tiles that the box of a splat can reach; a pixel's slack absorbs rounding.
TileRect tile_rect(const Splat& s, const Extent& e, const Grid& grid) {
    return {(uint16_t)grid.columns.begin(s.x - e.half_width - 1), (uint16_t)grid.rows.begin(s.y - e.half_height - 1),
            (uint16_t)grid.columns.end(s.x + e.half_width + 1), (uint16_t)grid.rows.end(s.y + e.half_height + 1),
            e.half_width};
}

void view_color(const Parameters& p, int64_t i, Splat& s) {
    float rgb[3] = {0, 0, 0};  // features alone have no colour
    if (p.colors)
        std::memcpy(rgb, p.colors->data_ptr<float>() + 3 * i, sizeof rgb);
    else if (p.sh)
        sh_color(p.camera, p.means.data_ptr<float>() + 3 * i, p.sh->data_ptr<float>() + 3 * p.sh_stored() * i, rgb);
    s.r = rgb[0], s.g = rgb[1], s.b = rgb[2];
}

// Fill splats, radii, means2d; -> tile rectangles, empty for what is not visible.
std::vector<TileRect> project_all(const Parameters& p, const Grid& grid, ListTensors& out) {
    const int64_t n = p.count();
    const float *means = p.means.data_ptr<float>(), *quats = p.quats.data_ptr<float>();
    const float *scales = p.scales.data_ptr<float>(), *opacities = p.opacities.data_ptr<float>();
    Splat* splats = reinterpret_cast<Splat*>(out.splats.data_ptr<float>());
    int32_t* radii = out.radii.data_ptr<int32_t>();
    float* means2d = out.means2d.data_ptr<float>();
    std::vector<TileRect> rects(n);
    for_blocks(n, 1024, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t i = begin; i < end; i++) {
            Splat s = {};
            Extent e = {};
            const bool visible = project(p.camera, means + 3 * i, quats + 4 * i, scales + 3 * i, opacities[i], s, e);
            if (visible) view_color(p, i, s);
            rects[i] = visible ? tile_rect(s, e, grid) : TileRect{};
            radii[i] = visible ? e.radius : 0;
            means2d[2 * i] = visible ? s.x : 0, means2d[2 * i + 1] = visible ? s.y : 0;
            splats[i] = s;
        }
    });
    return rects;
}

// Visible Gaussians front to back; equal depths keep their order.
std::vector<uint32_t> depth_order(const Splat* splats, const std::vector<TileRect>& rects) {
    constexpr int BITS = 11, BINS = 1 << BITS;
    std::vector<std::pair<uint32_t, uint32_t>> items, other;  // sortable depth, index
    for (size_t i = 0; i < rects.size(); i++) {
        if (rects[i].right <= rects[i].left || rects[i].bottom <= rects[i].top) continue;
        uint32_t bits;
        std::memcpy(&bits, &splats[i].z, sizeof bits);
        items.emplace_back(bits & 0x80000000u ? ~bits : bits | 0x80000000u, (uint32_t)i);
    }
    other.resize(items.size());
    for (int shift = 0; shift < 32; shift += BITS) {
        std::vector<uint32_t> starts(BINS + 1, 0);
        for (const auto& item : items) starts[(item.first >> shift & (BINS - 1)) + 1]++;
        std::partial_sum(starts.begin(), starts.end(), starts.begin());
        for (const auto& item : items) other[starts[item.first >> shift & (BINS - 1)]++] = item;
        items.swap(other);
    }
    std::vector<uint32_t> order(items.size());
    for (size_t i = 0; i < items.size(); i++) order[i] = items[i].second;
    return order;
}

// The ellipse a splat reaches, relative to its mean, a little widened against rounding.
struct Reach {
    const Splat& s;
    float half_width;

    // Its columns within rows top .. bottom; false: it does not reach them. `touches` for a row of tiles at once.
    bool columns(float top, float bottom, float& left, float& right) const {
        const float at_right = -s.conic_xy / s.conic_yy * half_width;  // row of the rightmost point
        return edge(std::clamp(at_right, top, bottom), at_right, 1, right) &&
               edge(std::clamp(-at_right, top, bottom), -at_right, -1, left);
    }

    // The rightmost (side 1) or leftmost (-1) column in row dy, the row nearest to that of the extreme point.
    bool edge(float dy, float extreme, float side, float& column) const {
        column = side * half_width;
        if (dy == extreme) return true;
        const float b = s.conic_xy * dy;
        const float under = b * b - s.conic_xx * (s.conic_yy * dy * dy - s.reach2) + 1e-6f * b * b;
        if (!(under >= 0)) return false;
        column = std::clamp((side * std::sqrt(under) - b) / s.conic_xx, -half_width, half_width);
        return true;
    }
};

// Blocks of consecutive Gaussians in depth order, binned independently of each other.
struct Block {
    std::vector<uint32_t> tiles;   // of its instances, Gaussian by Gaussian
    std::vector<uint32_t> counts;  // per tile; later: where the block's next entry of that tile goes
};

class Binning {
  public:
    Binning(const Splat* splats, const std::vector<TileRect>& rects, std::vector<uint32_t> order, const Grid& grid)
        : splats_(splats), rects_(rects), order_(std::move(order)), grid_(grid) {
        const int64_t visible = order_.size();
        grain_ = std::max<int64_t>(1024, (visible + 63) / 64);  // at most 64 blocks: one counter per block and tile
        blocks_.resize((visible + grain_ - 1) / grain_);
    }

    // Find every instance; -> how many.
    int64_t count(int32_t* counts) {
        for_blocks(order_.size(), grain_, [&](int64_t begin, int64_t end, int64_t) {
            Block& block = blocks_[begin / grain_];
            block.counts.assign(grid_.tiles(), 0);
            for (int64_t k = begin; k < end; k++) counts[order_[k]] = count_one(order_[k], block);
        });
        int64_t total = 0;
        for (const Block& block : blocks_) total += block.tiles.size();
        return total;
    }

    // Turn the counts into positions: tiles in order, and within a tile blocks in order.
    void place(int64_t* ranges) {
        int64_t next = 0;
        for (int tile = 0; tile < grid_.tiles(); tile++) {
            ranges[tile] = next;
            for (Block& block : blocks_) {
                const uint32_t here = block.counts[tile];
                block.counts[tile] = (uint32_t)next;
                next += here;
            }
        }
        ranges[grid_.tiles()] = next;
    }

    // first: of each Gaussian's instances, in the order of Gaussians.
    void scatter(const int32_t* counts, const int32_t* first, int32_t* ids, int32_t* entries) {
        for_blocks(order_.size(), grain_, [&](int64_t begin, int64_t end, int64_t) {
            Block& block = blocks_[begin / grain_];
            const uint32_t* tile = block.tiles.data();
            for (int64_t k = begin; k < end; k++) {
                const uint32_t id = order_[k];
                for (int c = 0; c < counts[id]; c++) {
                    const uint32_t entry = block.counts[*tile++]++;
                    ids[entry] = (int32_t)id;
                    entries[first[id] + c] = (int32_t)entry;
                }
            }
        });
    }

  private:
    int count_one(uint32_t id, Block& block) const {
        const TileRect& rect = rects_[id];
        const Splat& s = splats_[id];
        const Reach reach = {s, std::min(1e9f, 1.001f * rect.half_width + 0.05f)};
        const size_t before = block.tiles.size();
        for (int y = rect.top; y < rect.bottom; y++) {
            float left, right;
            const float top = grid_.rows.first[y] + 0.5f - s.y, bottom = grid_.rows.last[y] + 0.5f - s.y;
            if (!reach.columns(top, bottom, left, right)) continue;
            const int begin = std::max(rect.left + 0, grid_.columns.begin(left + s.x));
            const int end = std::min(rect.right + 0, grid_.columns.end(right + s.x));
            for (int x = begin; x < end; x++) {
                const uint32_t tile = (uint32_t)(y * grid_.columns.count() + x);
                block.tiles.push_back(tile);
                block.counts[tile]++;
            }
        }
        return (int)(block.tiles.size() - before);
    }

    const Splat* splats_;
    const std::vector<TileRect>& rects_;
    std::vector<uint32_t> order_;
    const Grid& grid_;
    int64_t grain_ = 1;
    std::vector<Block> blocks_;
};

}  // namespace

Intervals::Intervals(std::vector<int> first_pixels, std::vector<int> last_pixels, int size)
    : first(std::move(first_pixels)), last(std::move(last_pixels)), size_((float)size) {
    for (int px = 0, from = 0, until = 0; px <= size; px++) {
        while (from < count() && last[from] < px) from++;
        while (until < count() && first[until] < px) until++;
        from_.push_back(from), until_.push_back(until);
    }
}

static Intervals tile_intervals(int size) {
    std::vector<int> first, last;
    for (int px = 0; px < size; px += TILE) first.push_back(px), last.push_back(std::min(px + TILE, size) - 1);
    return {std::move(first), std::move(last), size};
}

Grid::Grid(const Camera& camera) : columns(tile_intervals(camera.width)), rows(tile_intervals(camera.height)) {}

// ids: [M] ids, [M] entries, [N] first instances, [N] counts, one after the other.
Lists view(const at::Tensor& splats, const at::Tensor& ids, const at::Tensor& ranges) {
    const int64_t n = splats.size(0), m = (ids.numel() - 2 * n) / 2;
    const int32_t* data = ids.data_ptr<int32_t>();
    return {reinterpret_cast<const Splat*>(splats.data_ptr<float>()),
            data,
            data + m,
            data + 2 * m,
            data + 2 * m + n,
            ranges.data_ptr<int64_t>(),
            m};
}

void check(const at::Tensor& t, const char* name) {
    TORCH_CHECK(t.is_contiguous() && t.scalar_type() == at::kFloat && t.device().is_cpu(), "ndraster: ", name,
                " must be contiguous float32 on the CPU");
}

void check(const Parameters& p) {
    check(p.means, "means"), check(p.quats, "quats"), check(p.scales, "scales"), check(p.opacities, "opacities");
    if (p.sh) check(*p.sh, "sh");
    if (p.colors) check(*p.colors, "colors");
    if (p.features) check(*p.features, "features");
}

ListTensors build_lists(const Parameters& p, const Grid& grid) {
    const int64_t n = p.count();
    const auto floats = p.means.options(), ints = floats.dtype(at::kInt);
    ListTensors out;
    out.splats = at::empty({n, 12}, floats);
    out.radii = at::empty({n}, ints);
    out.means2d = at::empty({n, 2}, floats);
    out.ranges = at::empty({grid.tiles() + 1}, floats.dtype(at::kLong));
    const std::vector<TileRect> rects = project_all(p, grid, out);
    const Splat* splats = reinterpret_cast<const Splat*>(out.splats.data_ptr<float>());
    Binning binning(splats, rects, depth_order(splats, rects), grid);
    std::vector<int32_t> counts(n, 0);
    const int64_t m = binning.count(counts.data());
    TORCH_CHECK(m < INT32_MAX, "ndraster: ", m,
                " (Gaussian, tile) pairs; expected below 2^31: use fewer or smaller Gaussians");
    binning.place(out.ranges.data_ptr<int64_t>());
    out.ids = at::empty({2 * m + 2 * n}, ints);
    int32_t *ids = out.ids.data_ptr<int32_t>(), *entries = ids + m, *first = entries + m;
    std::exclusive_scan(counts.begin(), counts.end(), first, 0);
    std::copy(counts.begin(), counts.end(), first + n);
    binning.scatter(counts.data(), first, ids, entries);
    return out;
}

}  // namespace ndr::cpu
