// What holds neighbours together between two moments: the rigid, rot and iso terms of a pair (Luiten et al. 2024), forward and
// backward. rigidity.py is the specification; names and order follow it.
#pragma once
#include <math.h>
#include <stddef.h>

#include "camera.h"

namespace ndr {

constexpr float RIGIDITY_EPS = 1e-20f;  // under every root, so that slopes stay finite at zero

struct Vec3 {
    float x, y, z;
};

NDR_HD Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
NDR_HD Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
NDR_HD Vec3 operator*(float s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
NDR_HD float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
NDR_HD Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }

struct Quat {
    float w;
    Vec3 v;
};

NDR_HD Quat operator+(Quat a, Quat b) { return {a.w + b.w, a.v + b.v}; }
NDR_HD Quat operator-(Quat a, Quat b) { return {a.w - b.w, a.v - b.v}; }
NDR_HD Quat operator*(float s, Quat a) { return {s * a.w, s * a.v}; }
NDR_HD float dot(Quat a, Quat b) { return a.w * b.w + dot(a.v, b.v); }
NDR_HD Quat conjugate(Quat q) { return {q.w, -1.0f * q.v}; }
NDR_HD Quat product(Quat a, Quat b) { return {a.w * b.w - dot(a.v, b.v), a.w * b.v + b.w * a.v + cross(a.v, b.v)}; }
NDR_HD Vec3 rotate(Quat q, Vec3 a) { return a + 2.0f * cross(q.v, cross(q.v, a) + q.w * a); }  // q of length one
NDR_HD Quat quat_at(const float* quats, size_t row) {
    const float* q = quats + 4 * row;
    return {q[0], {q[1], q[2], q[3]}};
}

// A Gaussian as its neighbours see it; two 16-byte loads.
struct alignas(16) RigidNode {
    Vec3 mean;
    float turn_w;  // its rotation since the moment before, in world axes
    Vec3 turn_v;
    float padding;
    NDR_HD Quat turn() const { return {turn_w, turn_v}; }
};

NDR_HD RigidNode make_node(const float* means, const float* quats, const float* previous_quats, size_t row) {
    const Quat turn = product(quat_at(quats, row), conjugate(quat_at(previous_quats, row)));
    return {{means[3 * row], means[3 * row + 1], means[3 * row + 2]}, turn.w, turn.v, 0};
}

// Where a neighbour was in the frame of the moment before, its distance at rest and the weight of the pair.
struct RigidPair {
    Vec3 previous_offset;
    float distance, weight;
};

// F rows with k neighbours each; pair i k + c goes from row i to its neighbour c.
struct RigidGraph {
    const float* previous_offsets;  // [F, k, 3]
    const int* indices;             // [F, k]
    const float* weights;           // [F, k]
    const float* distances;         // [F, k]
    int rows, degree;
    NDR_HD int pairs() const { return rows * degree; }
    NDR_HD RigidPair pair(int p) const {
        const float* offset = previous_offsets + 3 * size_t(p);
        return {{offset[0], offset[1], offset[2]}, distances[p], weights[p]};
    }
};

// The pairs that end in each row.
struct RigidArrivals {
    const int* offsets;  // [F + 1]
    const int* pairs;    // [F k]
};

struct RigidTerms {
    float rigid, rot, iso;
};

NDR_HD float floored_root(float square) { return sqrtf(square + RIGIDITY_EPS); }

NDR_HD RigidTerms pair_terms(const RigidNode& from, const RigidNode& to, const RigidPair& pair) {
    const Vec3 offset = to.mean - from.mean, error = rotate(conjugate(from.turn()), offset) - pair.previous_offset;
    const Quat twist = to.turn() - from.turn();
    const float strain = floored_root(dot(offset, offset)) - pair.distance;
    return {floored_root(pair.weight * dot(error, error)), floored_root(pair.weight * dot(twist, twist)),
            floored_root(pair.weight * strain * strain)};
}

// Gradients of a pair; those of its first row are the opposite, but for what the frame of that row gets.
struct PairGradient {
    Vec3 offset;  // offset of the two means
    Vec3 turned;  // the same offset in the frame of the first
    Quat twist;   // difference of the two turns
};

// slopes: of the sums over all pairs.
NDR_HD PairGradient pair_gradient(const RigidNode& from, const RigidNode& to, const RigidPair& pair, RigidTerms slopes) {
    const Vec3 offset = to.mean - from.mean, error = rotate(conjugate(from.turn()), offset) - pair.previous_offset;
    const Quat twist = to.turn() - from.turn();
    const float length = floored_root(dot(offset, offset)), strain = length - pair.distance;
    const RigidTerms terms = {floored_root(pair.weight * dot(error, error)), floored_root(pair.weight * dot(twist, twist)),
                              floored_root(pair.weight * strain * strain)};
    const Vec3 turned = (slopes.rigid * pair.weight / terms.rigid) * error;
    const float pull = slopes.iso * pair.weight * strain / terms.iso / length;
    return {rotate(from.turn(), turned) + pull * offset, turned, (slopes.rot * pair.weight / terms.rot) * twist};
}

// Sums over the pairs of one row, from which its gradients follow.
struct RigidSums {
    Vec3 mean = {0, 0, 0};
    Quat turn = {0, {0, 0, 0}};
    Vec3 outer[3] = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};  // offset times the gradient of the turned offset

    NDR_HD void leave(const RigidNode& row, const RigidNode& to, const RigidPair& pair, RigidTerms slopes) {
        const PairGradient g = pair_gradient(row, to, pair, slopes);
        const Vec3 offset = to.mean - row.mean;
        mean = mean - g.offset, turn = turn - g.twist;
        outer[0] = outer[0] + offset.x * g.turned;
        outer[1] = outer[1] + offset.y * g.turned;
        outer[2] = outer[2] + offset.z * g.turned;
    }
    NDR_HD void arrive(const RigidNode& row, const RigidNode& from, const RigidPair& pair, RigidTerms slopes) {
        const PairGradient g = pair_gradient(from, row, pair, slopes);
        mean = mean + g.offset, turn = turn + g.twist;
    }
    // With the turn (w, v) an offset o becomes o - 2 w v x o + 2 v x (v x o): what its gradients g, in `outer`, mean for w, v.
    NDR_HD Quat turn_gradient(Quat at) const {
        const Vec3 *m = outer, v = at.v;
        const Vec3 curl = {m[1].z - m[2].y, m[2].x - m[0].z, m[0].y - m[1].x};  // sum of o x g
        const Vec3 both = {dot(m[0], v) + m[0].x * v.x + m[1].x * v.y + m[2].x * v.z,
                           dot(m[1], v) + m[0].y * v.x + m[1].y * v.y + m[2].y * v.z,
                           dot(m[2], v) + m[0].z * v.x + m[1].z * v.y + m[2].z * v.z};
        const float trace = m[0].x + m[1].y + m[2].z;
        return turn + Quat{-2 * dot(v, curl), 2.0f * both - (2 * at.w) * curl - (4 * trace) * v};
    }
    NDR_HD void write(const RigidNode& node, const float* previous_quats, size_t row, float* g_means, float* g_quats) const {
        const Quat g = product(turn_gradient(node.turn()), quat_at(previous_quats, row));
        g_means[3 * row] = mean.x, g_means[3 * row + 1] = mean.y, g_means[3 * row + 2] = mean.z;
        g_quats[4 * row] = g.w, g_quats[4 * row + 1] = g.v.x, g_quats[4 * row + 2] = g.v.y, g_quats[4 * row + 3] = g.v.z;
    }
};

}  // namespace ndr
