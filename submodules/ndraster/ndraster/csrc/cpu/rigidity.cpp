// The rigidity losses: blocks of rows in parallel, summed in a fixed order.
#include "shared/rigidity.h"

#include "operators.h"
#include "parallel.h"

namespace ndr::cpu {

namespace {

constexpr int64_t BLOCK_ROWS = 256;

const float* floats(const Tensor& t) { return t.const_data_ptr<float>(); }

RigidGraph graph_of(const Tensor& previous_offsets, const Tensor& indices, const Tensor& weights, const Tensor& distances) {
    return {floats(previous_offsets), indices.const_data_ptr<int>(), floats(weights), floats(distances),
            (int)indices.size(0),     (int)indices.size(1)};
}

Tensor make_nodes(const Tensor& means, const Tensor& quats, const Tensor& previous_quats) {
    static_assert(sizeof(RigidNode) == 8 * sizeof(float));
    Tensor nodes = at::empty({means.size(0), 8}, means.options());
    RigidNode* to = reinterpret_cast<RigidNode*>(nodes.data_ptr<float>());
    for_blocks(means.size(0), BLOCK_ROWS, [&](int64_t begin, int64_t end, int64_t) {
        for (int64_t i = begin; i < end; i++) to[i] = make_node(floats(means), floats(quats), floats(previous_quats), i);
    });
    return nodes;
}

const RigidNode* nodes_in(const Tensor& t) { return reinterpret_cast<const RigidNode*>(floats(t)); }

struct Sums {
    double rigid = 0, rot = 0, iso = 0;
    void add(double other_rigid, double other_rot, double other_iso) {
        rigid += other_rigid, rot += other_rot, iso += other_iso;
    }
};

}  // namespace

std::tuple<Tensor, Tensor> rigidity_forward(const Tensor& means, const Tensor& quats, const Tensor& previous_quats,
                                            const Tensor& previous_offsets, const Tensor& indices, const Tensor& weights,
                                            const Tensor& distances) {
    const RigidGraph graph = graph_of(previous_offsets, indices, weights, distances);
    const Tensor kept = make_nodes(means, quats, previous_quats);
    const RigidNode* nodes = nodes_in(kept);
    std::vector<Sums> sums((graph.rows + BLOCK_ROWS - 1) / BLOCK_ROWS);
    for_blocks(graph.rows, BLOCK_ROWS, [&](int64_t begin, int64_t end, int64_t) {
        Sums& sum = sums[begin / BLOCK_ROWS];
        for (int i = (int)begin; i < (int)end; i++)
            for (int p = i * graph.degree; p < (i + 1) * graph.degree; p++) {
                const RigidTerms terms = pair_terms(nodes[i], nodes[graph.indices[p]], graph.pair(p));
                sum.add(terms.rigid, terms.rot, terms.iso);
            }
    });
    Sums all;
    for (const Sums& sum : sums) all.add(sum.rigid, sum.rot, sum.iso);
    Tensor losses = at::empty({3}, means.options());
    float* to = losses.data_ptr<float>();
    const double pairs = graph.pairs();
    to[0] = (float)(all.rigid / pairs), to[1] = (float)(all.rot / pairs), to[2] = (float)(all.iso / pairs);
    return {losses, kept};
}

std::tuple<Tensor, Tensor> rigidity_backward(const Tensor& kept, const Tensor& previous_quats, const Tensor& previous_offsets,
                                             const Tensor& indices, const Tensor& weights, const Tensor& distances,
                                             const Tensor& incoming_offsets, const Tensor& incoming_pairs,
                                             const Tensor& gradient) {
    const RigidGraph graph = graph_of(previous_offsets, indices, weights, distances);
    const RigidArrivals arrivals = {incoming_offsets.const_data_ptr<int>(), incoming_pairs.const_data_ptr<int>()};
    const RigidNode* nodes = nodes_in(kept);
    const float *slope = floats(gradient), share = 1.0f / (float)graph.pairs();
    const RigidTerms slopes = {slope[0] * share, slope[1] * share, slope[2] * share};
    Tensor g_means = at::empty({graph.rows, 3}, kept.options()), g_quats = at::empty({graph.rows, 4}, kept.options());
    for_blocks(graph.rows, BLOCK_ROWS, [&](int64_t begin, int64_t end, int64_t) {
        for (int i = (int)begin; i < (int)end; i++) {
            RigidSums sums;
            for (int p = i * graph.degree; p < (i + 1) * graph.degree; p++)
                sums.leave(nodes[i], nodes[graph.indices[p]], graph.pair(p), slopes);
            for (int a = arrivals.offsets[i]; a < arrivals.offsets[i + 1]; a++) {
                const int p = arrivals.pairs[a];
                sums.arrive(nodes[i], nodes[p / graph.degree], graph.pair(p), slopes);
            }
            sums.write(nodes[i], floats(previous_quats), i, g_means.data_ptr<float>(), g_quats.data_ptr<float>());
        }
    });
    return {g_means, g_quats};
}

}  // namespace ndr::cpu
