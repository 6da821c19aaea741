// Lists of Gaussians per tile, in depth order: sort Gaussians by depth, emit (tile, id) in that order, then sort stably by
// tile. The second sort moves few bits, and depth never travels with the pairs. Nothing here waits for the device.
#include <climits>

#include "cuda/sorting.cuh"

namespace ndr {
namespace {

constexpr int THREADS = 256;
constexpr int SERIAL_TILES = 12;  // a Gaussian with more candidate tiles is worked on by its whole warp
constexpr uint32_t INVISIBLE = 0xffffffffu;

// One Gaussian for the tile tests, in registers that can be handed to the other lanes.
struct Candidate {
    Splat splat = {};             // only mean, conic and reach2 count
    int x0 = 0, y0 = 0, width = 1, area = 0;  // rectangle of tiles
    int id = 0, start = 0;        // for emission

    __device__ Candidate() {}
    __device__ Candidate(const Splat& s, const TileGrid& grid, int id, int start)
        : splat(s), id(id), start(start) {
        const float det = s.conic_xx * s.conic_yy - s.conic_xy * s.conic_xy;
        const float half_x = sqrtf(s.reach2 * s.conic_yy / det), half_y = sqrtf(s.reach2 * s.conic_xx / det);
        int x1, y1;
        grid.tiles_between(s.x - half_x, s.x + half_x, grid.across, grid.width, grid.tiles_x(), x0, x1);
        grid.tiles_between(s.y - half_y, s.y + half_y, grid.down, grid.height, grid.tiles_y(), y0, y1);
        width = max(x1 - x0, 1), area = max(x1 - x0, 0) * max(y1 - y0, 0);
    }

    __device__ Candidate of_lane(int lane) const {
        Candidate c;
        float* const to[6] = {&c.splat.x, &c.splat.y, &c.splat.conic_xx, &c.splat.conic_xy, &c.splat.conic_yy, &c.splat.reach2};
        const float from[6] = {splat.x, splat.y, splat.conic_xx, splat.conic_xy, splat.conic_yy, splat.reach2};
#pragma unroll
        for (int k = 0; k < 6; k++) *to[k] = __shfl_sync(ALL_LANES, from[k], lane);
        c.x0 = __shfl_sync(ALL_LANES, x0, lane), c.y0 = __shfl_sync(ALL_LANES, y0, lane);
        c.width = __shfl_sync(ALL_LANES, width, lane), c.area = __shfl_sync(ALL_LANES, area, lane);
        c.id = __shfl_sync(ALL_LANES, id, lane), c.start = __shfl_sync(ALL_LANES, start, lane);
        return c;
    }
    // Whether candidate tile k is touched; `tile` is its index in the image.
    __device__ bool hits(int k, const TileGrid& grid, int& tile) const {
        const int tx = x0 + k % width, ty = y0 + k / width;
        tile = ty * grid.tiles_x() + tx;
        const PixelBox box = grid.box(tx * TILE, ty * TILE, TILE, TILE);
        return touches(splat, box.x, box.y, box.width, box.height);
    }
    __device__ bool is_small() const { return area <= 32; }  // one bit a tile
};

// Which tiles a small Gaussian touches, kept from counting for emission.
struct Touched {
    unsigned mask = 0;            // bit k: candidate tile k
    int first = 0;                // first candidate tile
    int width = 0;                // of the rectangle; 0: not a small Gaussian
};

// Calls found(candidate, k, tile) for the k-th touched tile of each lane's candidate that `wanted` is set for, all lanes on
// one Gaussian after the other; returns how many this lane's has. All lanes of the warp must take part.
template <typename Found>
__device__ int for_each_tile_together(const Candidate& mine, bool wanted, const TileGrid& grid, unsigned& mask, Found found) {
    const int lane = threadIdx.x % 32;
    int count = 0, tile;
    for (unsigned waiting = __ballot_sync(ALL_LANES, wanted); waiting; waiting &= waiting - 1) {
        const int owner = __ffs(waiting) - 1;
        const Candidate theirs = mine.of_lane(owner);
        int before = 0;
        unsigned hits = 0;
        for (int base = 0; base < theirs.area; base += 32) {
            const bool hit = base + lane < theirs.area && theirs.hits(base + lane, grid, tile);
            hits = __ballot_sync(ALL_LANES, hit);
            if (hit) found(theirs, before + __popc(hits & ((1u << lane) - 1)), tile);
            before += __popc(hits);
        }
        if (lane == owner) count = before, mask = hits;
    }
    return count;
}

// Neighbours in depth have alike sizes and the nearest are huge, so a warp takes Gaussians from all depths.
__device__ int spread_rank() {
    const int warps = gridDim.x * (THREADS / 32), warp = (blockIdx.x * THREADS + threadIdx.x) / 32;
    return (threadIdx.x % 32) * warps + warp;
}

__global__ void __launch_bounds__(THREADS)
count_kernel(const Splat* splats, const uint32_t* sorted_keys, const int* order, int count, TileGrid grid, int* counts,
             Touched* touched) {
    const int rank = spread_rank();
    Candidate mine;
    if (rank < count && sorted_keys[rank] != INVISIBLE) mine = Candidate(splats[order[rank]], grid, 0, 0);
    const bool alone = mine.area <= SERIAL_TILES;
    Touched kept;
    int tile;
    for (int k = 0; alone && k < mine.area; k++)
        if (mine.hits(k, grid, tile)) kept.mask |= 1u << k;
    int tiles = __popc(kept.mask);
    const int others = for_each_tile_together(mine, !alone, grid, kept.mask, [](const Candidate&, int, int) {});
    if (!alone) tiles = others;
    if (rank >= count) return;
    kept.first = mine.y0 * grid.tiles_x() + mine.x0, kept.width = mine.is_small() ? mine.width : 0;
    counts[rank] = tiles, touched[rank] = kept;
}

// Where the n-th set bit is, n from 0.
__device__ int nth_set_bit(unsigned mask, int n) {
    int at = 0;
#pragma unroll
    for (int step = 16; step; step /= 2) {
        const int below = __popc(mask >> at & ((1u << step) - 1));
        if (n >= below) n -= below, at += step;
    }
    return at;
}

// The pairs of 32 small Gaussians, neighbours in depth: lanes take pairs in their order, so that writes are together.
template <typename Emit>
__device__ void emit_small(const Touched& kept, int id, int start, int tiles_x, Emit emit) {
    const int lane = threadIdx.x % 32, own = kept.width ? __popc(kept.mask) : 0;
    int end = own;  // of this lane's pairs in the warp's
    for (int step = 1; step < 32; step *= 2) {
        const int before = __shfl_up_sync(ALL_LANES, end, step);
        if (lane >= step) end += before;
    }
    const int pairs = __shfl_sync(ALL_LANES, end, 31);
    for (int base = 0; base < pairs; base += 32) {
        const int pair = min(base + lane, pairs - 1);
        int owner = 0;  // lanes whose pairs end at or before this one
#pragma unroll
        for (int step = 16; step; step /= 2)
            if (__shfl_sync(ALL_LANES, end, owner + step - 1) <= pair) owner += step;
        const int k = pair - __shfl_sync(ALL_LANES, end - own, owner), at = __shfl_sync(ALL_LANES, start, owner) + k;
        const unsigned mask = __shfl_sync(ALL_LANES, kept.mask, owner);
        const int first = __shfl_sync(ALL_LANES, kept.first, owner), width = __shfl_sync(ALL_LANES, kept.width, owner);
        const int theirs = __shfl_sync(ALL_LANES, id, owner), cell = nth_set_bit(mask, k);
        if (base + lane < pairs) emit(theirs, at, first + cell / width * tiles_x + cell % width);
    }
}

// Small Gaussians by neighbours, large ones spread over the warps. Unused slots hold a tile beyond the last, which sorts
// behind all.
template <typename Key>
__global__ void __launch_bounds__(THREADS)
emit_kernel(const Splat* splats, const int* order, const int* inclusive, const Touched* touched, const int* total, int count,
            int capacity, TileGrid grid, Key* tile_keys, int* ids) {
    const auto start_of = [=](int rank) { return rank > 0 ? inclusive[rank - 1] : 0; };
    const auto emit = [=](int id, int at, int tile) {
        if (at < capacity) tile_keys[at] = Key(tile), ids[at] = id;
    };
    const int rank = blockIdx.x * THREADS + threadIdx.x, far = spread_rank();
    const bool exists = rank < count;
    emit_small(exists ? touched[rank] : Touched(), exists ? order[rank] : 0, exists ? start_of(rank) : 0, grid.tiles_x(), emit);
    const bool is_large = far < count && !touched[far].width && start_of(far) < capacity;
    Candidate mine;
    if (is_large) mine = Candidate(splats[order[far]], grid, order[far], start_of(far));
    unsigned unused;
    for_each_tile_together(mine, is_large, grid, unused,
                           [=](const Candidate& c, int k, int tile) { emit(c.id, c.start + k, tile); });
    for (int64_t slot = int64_t(*total) + rank; slot < capacity; slot += gridDim.x * THREADS)
        tile_keys[slot] = Key(grid.tiles_x() * grid.tiles_y()), ids[slot] = 0;
}

template <typename Key>
__global__ void range_kernel(const Key* tile_keys, const int* total, int capacity, int tiles, int2* ranges) {
    const int tile = blockIdx.x * blockDim.x + threadIdx.x;
    if (tile >= tiles) return;
    const int used = min(*total, capacity);
    ranges[tile] = make_int2(lower_bound(tile_keys, used, tile), lower_bound(tile_keys, used, tile + 1));
}

struct SaturatingSum {
    __device__ int operator()(int a, int b) const { return int(min(unsigned(a) + unsigned(b), unsigned(INT_MAX))); }
};

void running_sums(const int* counts, int* sums, int count, cudaStream_t stream) {
    size_t bytes = 0;
    C10_CUDA_CHECK(cub::DeviceScan::InclusiveScan(nullptr, bytes, counts, sums, SaturatingSum(), count, stream));
    const Scratch scratch(bytes);
    C10_CUDA_CHECK(cub::DeviceScan::InclusiveScan(scratch.as<void>(), bytes, counts, sums, SaturatingSum(), count, stream));
}

template <typename Key>
void fill(const Splat* splats, const int* order, const int* offsets, const Touched* touched, const int* total, int count,
          int capacity, const TileGrid& grid, int* ids, int2* ranges, cudaStream_t stream) {
    const int tiles = grid.tiles_x() * grid.tiles_y();
    const Scratch keys(sizeof(Key) * capacity), sorted_keys(sizeof(Key) * capacity), unsorted(sizeof(int) * capacity);
    if (capacity > 0) {
        emit_kernel<<<blocks_for(count, THREADS), THREADS, 0, stream>>>(
            splats, order, offsets, touched, total, count, capacity, grid, keys.as<Key>(), unsorted.as<int>());
        C10_CUDA_KERNEL_LAUNCH_CHECK();
        int bits = 1;
        while ((int64_t(1) << bits) <= tiles) bits++;
        sort_pairs(keys.as<Key>(), sorted_keys.as<Key>(), unsorted.as<int>(), ids, capacity, bits, stream);
    }
    range_kernel<<<blocks_for(tiles, 64), 64, 0, stream>>>(sorted_keys.as<Key>(), total, capacity, tiles, ranges);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
}

static_assert(sizeof(Touched) == TOUCHED_BYTES);

}  // namespace

void count_instances(const Splat* splats, const uint32_t* depth_keys, const int* indices, int count,
                     const TileGrid& grid, int* order, int* offsets, void* touched, cudaStream_t stream) {
    if (count == 0) return;
    const Scratch sorted_keys(sizeof(uint32_t) * count), counts(sizeof(int) * count);
    sort_pairs(depth_keys, sorted_keys.as<uint32_t>(), indices, order, count, 32, stream);
    count_kernel<<<blocks_for(count, THREADS), THREADS, 0, stream>>>(splats, sorted_keys.as<uint32_t>(), order, count, grid,
                                                                   counts.as<int>(),
                                                                   static_cast<Touched*>(touched));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    running_sums(counts.as<int>(), offsets, count, stream);
}

void fill_lists(const Splat* splats, const int* order, const int* offsets, const void* touched, const int* total,
                int count, int capacity, const TileGrid& grid, int* ids, int2* ranges, cudaStream_t stream) {
    if (count == 0) capacity = 0;
    const bool narrow = grid.tiles_x() * grid.tiles_y() < (1 << 16);  // the tile beyond the last is a key too
    const auto run = narrow ? fill<uint16_t> : fill<uint32_t>;
    run(splats, order, offsets, static_cast<const Touched*>(touched), total, count, capacity, grid, ids, ranges, stream);
}

}  // namespace ndr
