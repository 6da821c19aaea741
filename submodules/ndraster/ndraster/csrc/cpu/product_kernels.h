// Dense products of small matrices with rows of PX floats: the inner loop of everything with feature channels.
// Included once per instruction set, after blend_kernels.h.

namespace ndr::cpu::NDR_ISA {

// Where the rows of a product are added: row i to row index[i], or i without an index.
struct Destination {
    float* rows;
    size_t stride = PX;
    const int* index = nullptr;

    float* row(int i) const { return rows + (index ? index[i] : i) * stride; }
    Destination from(int i) const { return {index ? rows : rows + i * stride, stride, index ? index + i : nullptr}; }
};

// out.row(i) += sum over l < depth of a(i, l) * b[l], for ROWS values of i.
// ACROSS: a(i, l) = a[l][i], else a[i][l]. VECTORS: how much of each row is computed.
template <int ROWS, int VECTORS, bool ACROSS>
static void product_block(const float* a, const float* b, int depth, const Destination& out) {
    constexpr int ROW = ACROSS ? 1 : PX, STEP = ACROSS ? PX : 1;
    Vec sums[ROWS][VECTORS] = {};
    for (int l = 0; l < depth; l++) {
        Vec row[VECTORS];
        for (int v = 0; v < VECTORS; v++) row[v] = load(b + (size_t)l * PX + v * LANES);
        for (int i = 0; i < ROWS; i++) {
            const Vec f = set1(a[i * ROW + (size_t)l * STEP]);
            for (int v = 0; v < VECTORS; v++) sums[i][v] = fma(f, row[v], sums[i][v]);
        }
    }
    for (int i = 0; i < ROWS; i++) {
        float* row = out.row(i);
        for (int v = 0; v < VECTORS; v++) store(row + v * LANES, load(row + v * LANES) + sums[i][v]);
    }
}

template <int ROWS, int VECTORS, bool ACROSS>
static inline void product_rows(int rows, const float* a, const float* b, int depth, const Destination& out) {
    if (rows == ROWS) return product_block<ROWS, VECTORS, ACROSS>(a, b, depth, out);
    if constexpr (ROWS > 1) product_rows<ROWS - 1, VECTORS, ACROSS>(rows, a, b, depth, out);
}

template <int VECTORS, bool ACROSS>
static void product_of(int rows, const float* a, const float* b, int depth, const Destination& out) {
    const int blocks = (rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;  // of nearly equal size
    for (int block = 0; block < blocks; block++) {
        const int first = (int)((int64_t)rows * block / blocks), end = (int)((int64_t)rows * (block + 1) / blocks);
        product_rows<PRODUCT_ROWS, VECTORS, ACROSS>(end - first, a + (size_t)first * (ACROSS ? 1 : PX), b, depth,
                                                    out.from(first));
    }
}

// `columns` of the result are wanted; the others may or may not be computed.
template <bool ACROSS>
static void product(int rows, const float* a, const float* b, int depth, int columns, const Destination& out) {
    if (columns > LANES)
        product_of<2, ACROSS>(rows, a, b, depth, out);
    else
        product_of<1, ACROSS>(rows, a, b, depth, out);
}

// to[j][i] = from[i][j], for a PX x PX matrix.
static void transpose(const float* from, float* to) {
    for (int i = 0; i < PX; i += LANES)
        for (int j = 0; j < PX; j += LANES) {
            Vec rows[LANES], next[LANES];
            for (int k = 0; k < LANES; k++) rows[k] = load(from + (i + k) * PX + j);
            for (int round = 1; round < LANES; round *= 2) {
                for (int k = 0; k < LANES / 2; k++)
                    interleave(rows[k], rows[k + LANES / 2], next[2 * k], next[2 * k + 1]);
                for (int k = 0; k < LANES; k++) rows[k] = next[k];
            }
            for (int k = 0; k < LANES; k++) store(to + (j + k) * PX + i, rows[k]);
        }
}

}  // namespace ndr::cpu::NDR_ISA
