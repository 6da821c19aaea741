// Work on ATen's threads: items are handed out by an atomic counter, so uneven items balance.
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace ndr::cpu {

// Call work(thread) once on each of at most `wanted` threads.
template <class Work>
void on_threads(int64_t wanted, const Work& work) {
    const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), wanted));
#ifdef INTRA_OP_PARALLEL
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) work(i);
    });
#else  // compiled without OpenMP: plain threads
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads; i++) others.emplace_back([&work, i] { work(i); });
    work(0);
    for (auto& thread : others) thread.join();
#endif
}

// work(begin, end, thread) over blocks of `grain` items; results must not depend on who takes which block.
template <class Work>
void for_blocks(int64_t items, int64_t grain, const Work& work) {
    if (items <= 0) return;
    const int64_t blocks = (items + grain - 1) / grain;
    std::atomic<int64_t> next{0};
    on_threads(blocks, [&](int64_t thread) {
        for (int64_t block; (block = next.fetch_add(1, std::memory_order_relaxed)) < blocks;)
            work(block * grain, std::min(items, (block + 1) * grain), thread);
    });
}

}  // namespace ndr::cpu
