// What tiles leave per list entry, added up per Gaussian in the order of its tiles: no atomics on numbers, and the same
// bits for any number of threads.
#pragma once
#include <atomic>
#include <vector>

#include "kernels.h"
#include "lists.h"
#include "parallel.h"

namespace ndr::cpu {

// Sums per Gaussian, added to; null: not wanted.
struct Totals {
    float* splats = nullptr;    // [N, GRADIENT_ROW]
    float* features = nullptr;  // [N, width]
    float* weights = nullptr;   // [N] one more channel after the features
    int width = 0;

    int channels() const { return features ? width + (weights != nullptr) : 0; }
};

// The tiles in bands, so that the rows alive at a time fit a budget and stay in cache.
class InstanceRows {
  public:
    InstanceRows(const Lists& lists, int64_t gaussians, int tiles, const Totals& totals)
        : lists_(lists), tiles_(tiles), totals_(totals), done_(gaussians), scratch_(at::get_num_threads()) {
        splat_row_ = totals.splats ? GRADIENT_ROW : 0;
        const int chunk = 2 * kernels().lanes;
        feature_row_ = (totals.channels() + chunk - 1) / chunk * chunk;
        if (feature_row_ % 128 == 0) feature_row_ += feature_row_ ? 16 : 0;  // else rows share few sets of the caches
    }

    // run_tile(tile, TileRows, Scratch&) sets the rows of a tile's entries; load_tiles(first, last) precedes each band.
    template <class LoadTiles, class RunTile>
    void run(const LoadTiles& load_tiles, const RunTile& run_tile) {
        Buffer splats, features;
        for (int first = 0, last; first < tiles_; first = last) {
            last = band_end(first);
            begin_ = lists_.ranges[first], end_ = lists_.ranges[last];
            splat_rows_ = splat_row_ ? splats.floats((end_ - begin_) * splat_row_) : nullptr;
            feature_rows_ = feature_row_ ? features.floats((end_ - begin_) * feature_row_) : nullptr;
            load_tiles(first, last);
            for_blocks(last - first, 1, [&](int64_t k, int64_t, int64_t thread) {
                const int tile = first + (int)k;
                if (lists_.ranges[tile] < lists_.ranges[tile + 1]) run_tile(tile, rows_of(tile), scratch_[thread]);
            });
            collect_band();
        }
    }

  private:
    static constexpr size_t BAND_BYTES = size_t(16) << 20;
    static constexpr int AHEAD = 4;  // Gaussians whose rows are fetched early
    static constexpr int LINE = 16;  // floats of a cache line

    int band_end(int first) const {
        const int64_t room = BAND_BYTES / (std::max(1, splat_row_ + feature_row_) * sizeof(float));
        int last = first + 1;
        while (last < tiles_ && lists_.ranges[last + 1] - lists_.ranges[first] <= room) last++;
        return last;
    }

    TileRows rows_of(int tile) const {
        const int64_t row = lists_.ranges[tile] - begin_;
        return {splat_rows_ ? splat_rows_ + row * splat_row_ : nullptr,
                feature_rows_ ? feature_rows_ + row * feature_row_ : nullptr, (size_t)feature_row_, nullptr};
    }

    // Every Gaussian of the band once: in the order of memory where many are in it, else by its first entry there.
    void collect_band() {
        const int64_t gaussians = (int64_t)done_.size();
        if (8 * (end_ - begin_) > gaussians) {
            for_blocks(gaussians, 512, [&](int64_t from, int64_t to, int64_t) {
                for (int64_t id = from; id < to; id++) {
                    if (id + AHEAD < to) prefetch(id + AHEAD);
                    collect(id);
                }
            });
            return;
        }
        for_blocks(end_ - begin_, 1024, [&](int64_t from, int64_t to, int64_t) {
            for (int64_t entry = begin_ + from; entry < begin_ + to; entry++) {
                if (entry + 2 < begin_ + to && is_first(entry + 2)) prefetch_features(lists_.ids[entry + 2]);
                if (is_first(entry)) collect(lists_.ids[entry]);
            }
        });
    }

    // Whether the entry is the first of its Gaussian that is not added yet.
    bool is_first(int64_t entry) const {
        const int32_t id = lists_.ids[entry], k = done_[id].load(std::memory_order_relaxed);
        return k < lists_.counts[id] && lists_.entries[lists_.first[id] + k] == entry;
    }

    void collect(int64_t id) {
        const int32_t* entries = lists_.entries + lists_.first[id];
        int32_t k = done_[id].load(std::memory_order_relaxed);
        for (; k < lists_.counts[id] && entries[k] < end_; k++) add_row(entries[k] - begin_, id);
        done_[id].store(k, std::memory_order_relaxed);
    }

    void prefetch(int64_t id) const {
        const int32_t* entries = lists_.entries + lists_.first[id];
        const int32_t done = done_[id].load(std::memory_order_relaxed), last = std::min(lists_.counts[id], done + 8);
        for (int32_t k = done; k < last && entries[k] < end_; k++) {
            const int64_t row = entries[k] - begin_;
            if (splat_rows_) __builtin_prefetch(splat_rows_ + row * GRADIENT_ROW);
            for (int c = 0; c < std::min(feature_row_, 8 * LINE); c += LINE)
                __builtin_prefetch(feature_rows_ + row * feature_row_ + c);
        }
    }

    void prefetch_features(int64_t id) const {
        if (feature_rows_ == nullptr) return;
        for (int c = 0; c < totals_.width; c += LINE) __builtin_prefetch(totals_.features + id * totals_.width + c, 1);
    }

    void add_row(int64_t row, int64_t id) {
        if (splat_rows_) add(splat_rows_ + row * GRADIENT_ROW, GRADIENT_ROW, totals_.splats + id * GRADIENT_ROW);
        if (feature_rows_ == nullptr) return;
        const float* from = feature_rows_ + row * feature_row_;
        add(from, totals_.width, totals_.features + id * totals_.width);
        if (totals_.weights) totals_.weights[id] += from[totals_.width];
    }

    static void add(const float* row, int width, float* total) {
        for (int c = 0; c < width; c++) total[c] += row[c];
    }

    const Lists& lists_;
    int tiles_;
    Totals totals_;
    std::vector<std::atomic<int32_t>> done_;  // instances of each Gaussian added so far
    std::vector<Scratch> scratch_;
    int splat_row_, feature_row_;  // floats
    int64_t begin_ = 0, end_ = 0;  // the band's entries
    float *splat_rows_ = nullptr, *feature_rows_ = nullptr;
};

}  // namespace ndr::cpu
