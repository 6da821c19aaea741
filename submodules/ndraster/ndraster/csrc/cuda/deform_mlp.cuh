// The deformation network of Deformable 3DGS in three launches: what deform_mlp*.cu offer to deform_mlp_bindings.cpp.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace ndr {

constexpr int LAYERS = 8, LAYER_WIDTH = 256;
constexpr int SKIP_LAYER = 5;              // sees the code of the point again
constexpr int FREQUENCIES = 10;
constexpr int CODE_WIDTH = 64;             // 3 + 6 FREQUENCIES numbers and a zero
constexpr int MAX_OUTPUTS = 16;
constexpr int ROW_STEP = 128;              // `rows` below are a multiple of this
constexpr int SIGN_WORDS = LAYERS * LAYER_WIDTH / 32;  // a row
constexpr int FORWARD_COLUMNS = 2 * CODE_WIDTH + (LAYERS - 1) * LAYER_WIDTH;
constexpr int BACKWARD_COLUMNS = CODE_WIDTH + (LAYERS - 1) * LAYER_WIDTH;

// Up to CODE_WIDTH columns of a matrix with 256 rows; the rest are zeros.
struct WeightChunk {
    const float* values;
    int64_t row_stride, column_stride;
    int columns;
};

// All weights as the kernels take them, side by side: [256, chunks * CODE_WIDTH].
struct WeightChunks {
    WeightChunk forward[FORWARD_COLUMNS / CODE_WIDTH];    // [outputs, inputs]; the skip's columns follow its layer's
    WeightChunk backward[BACKWARD_COLUMNS / CODE_WIDTH];  // [inputs, outputs] from the head to layer 1
};

struct DeformNetwork {
    const __half* weights;                 // [256, FORWARD_COLUMNS]
    const float* biases[LAYERS];           // [256]
    const float* head;                     // [outputs, 256]
    const float* head_bias;                // [outputs]
    int outputs;                           // at most MAX_OUTPUTS
};

// What the backward pass wants; all null when there is none.
struct DeformKept {
    __nv_bfloat16* code;                   // [rows, CODE_WIDTH]
    __nv_bfloat16* hidden;                 // [8, rows, 256] after each ReLU
    uint32_t* signs;                       // [rows * SIGN_WORDS] where it let through, in the order of registers
};

struct DeformGradients {
    __nv_bfloat16* layers;                 // [8, rows, 256] of what enters each ReLU
    float* bias_parts;                     // [bias_parts(rows), 8, 256] to be added up
};

int64_t bias_parts(int64_t rows);

// backward may be null.
void launch_pack_weights(const WeightChunks&, __half* forward, __nv_bfloat16* backward, cudaStream_t);
// points [count, 3] -> out [count, outputs]; rows: count rounded up to ROW_STEP or more.
void launch_deform(const float* points, int64_t count, int64_t rows, const DeformNetwork&, float* out,
                   const DeformKept&, cudaStream_t);
// gradient [rows, MAX_OUTPUTS], zero beyond what there is; weights [256, BACKWARD_COLUMNS].
void launch_deform_backward(const __nv_bfloat16* gradient, int64_t rows, const __nv_bfloat16* weights,
                            const uint32_t* signs, const DeformGradients&, cudaStream_t);

}  // namespace ndr
