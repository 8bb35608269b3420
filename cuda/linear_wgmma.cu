/* SPDX-License-Identifier: Apache-2.0
 * linear_wgmma: out = [out +] mask * act(pre(x) W + b) in bf16 for rows of 64, 128 or 256 channels, pre: layer norm,
 * relu or nothing. For GPUs with the products of warpgroups (sm_90a).
 *
 * Shapes: x [.., K], out [.., n] with any leading strides, W [K, n], n a multiple of 8, at most 1024. One block per
 * multiprocessor: three warpgroups that multiply and one that brings W. A warpgroup has 64 rows, read once, normed in
 * registers and kept there as A; W comes as tiles [K, 64], which all three use. The fourth warpgroup goes round and
 * round over the columns, as many tiles ahead as fit; a W that fits as a whole is brought once. Since the order of the
 * columns does not matter, each warpgroup begins new rows a third of a round after the one before, so that loads and
 * layer norm of one run beside the products of the others; and the rounds of all rows are cut into equal pieces for the
 * blocks wherever that falls.
 * Shared memory: 160 KiB tiles of W, 24 KiB lines of results, bias, norm.
 * Cost: x and out once through memory, W once per 192 rows through the second-level cache; bound by memory up to
 * K = 128, by either at K = 256. Numerics: layer norm, sums, bias and the sum with the old out in float32; normed rows
 * rounded to bf16, the result rounded once. Reference: ops_cpu_general.c.
 */
#include "dense_wgmma.cuh"

#include "rows_wgmma.cuh"

namespace {

constexpr int groups = 3, warps = 4 * groups, threads = 32 * (warps + 4), group_rows = 64;
constexpr int tile_columns = 64, room = 160 << 10, max_columns = 1024;

struct linear_job {
    const bf16 *x, *w;
    bf16 *out;
    ff_cuda_rows x_rows, out_rows, mask_rows;
    unsigned n_row;
    int n;
    const float *scale, *offset, *b, *mask;      /* NULL: none */
    bool relu_input, relu;
    unsigned turn;               /* tiles in a round over the columns */
    unsigned lag;                /* of a warpgroup behind the one before, in tiles */
    unsigned steps;              /* tiles of all rounds of one warpgroup */
    bool stays;                  /* all of W fits */
};

template <int K>
struct linear_shared {
    static constexpr int tile_bytes = K * tile_columns * 2, tiles = room / tile_bytes;
    char w[tiles][tile_bytes];
    char lines[warps][LINE_BYTES];
    float scale[K], offset[K], b[max_columns];
    int64_t at[warps][16];
    uint64_t full[tiles], empty[tiles];
};

#ifdef FF_HAVE_WGMMA
template <int K, bool ACCUMULATE>
__device__ __forceinline__ void multiply(linear_shared<K> &s, const linear_job &a, int warp, unsigned step,
                                         unsigned last, tile_ring from)
{
    const int lane = (int)threadIdx.x % 32, group = warp / 4;
    char *lines = s.lines[warp];
    int64_t *at = s.at[warp];
    auto release = [&]() {
        if (!a.stays && lane == 0)
            barrier_arrive(&s.empty[from.slot]);
        from.next();
    };
    while (step < last) {
        unsigned own = step - (unsigned)group * a.lag;       /* of this warpgroup's steps */
        if (own >= a.steps) {
            barrier_wait(&s.full[from.slot], from.parity);
            __syncwarp();
            release();
            step++;
            continue;
        }
        const unsigned row0 = (own / a.turn * groups + (unsigned)group) * group_rows + (unsigned)(warp % 4) * 16;
        const unsigned end = min(last, step + a.turn - own % a.turn);

        unsigned x[K / 16][4];
        const bf16 *row[2];
        float mask[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            unsigned i = row0 + (unsigned)(lane / 4 + 8 * r);
            row[r] = i < a.n_row ? a.x + a.x_rows.at(i) : nullptr;
            mask[r] = a.mask && i < a.n_row ? a.mask[a.mask_rows.at(i)] : 1.0f;
        }
        load_a<K>(x, row[0], row[1]);
        __syncwarp();
        if (lane < 16)
            at[lane] = row0 + (unsigned)lane < a.n_row ? a.out_rows.at(row0 + (unsigned)lane) : -1;
        __syncwarp();
        /* Only where the norm takes long: where memory is the bound, asking early costs more than it saves. */
        if (K == 256 && a.scale && step + a.turn < last)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                unsigned i = row0 + (unsigned)(groups * group_rows + lane / 4 + 8 * r);
                if (i < a.n_row)
                    expect_row<K>(a.x + a.x_rows.at(i));
            }
        if (a.scale)
            norm_a<K>(x, s.scale, s.offset);
        if (a.relu_input)
#pragma unroll
            for (int k = 0; k < K / 16; k++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    x[k][i] = relu2(x[k][i]);

        auto column_of = [&](unsigned at_step) { return (int)(at_step % a.turn) * tile_columns; };
        auto is_there = [&](int column) { return column + lane % 8 * 8 < a.n; };
        bf16 *to[4];
        uint4 old[4];                    /* what the tile is added to, asked for a tile ahead */
        line_pointers(to, a.out, at);
        if (ACCUMULATE)
            fetch_lines(old, to, column_of(step), is_there(column_of(step)));
        for (; step < end; step++) {
            const int column = column_of(step);
            const bool there = is_there(column);

            float d[tile_columns / 2] = {};
            barrier_wait(&s.full[from.slot], from.parity);
            const uint64_t w = b_operand(s.w[from.slot]);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < K / 16; k++)
                wgmma_rs<tile_columns, WGMMA_MN_MAJOR>(d, x[k], wgmma_advance(w, (unsigned)k * 2048u), k > 0);
            wgmma_commit();
            float2 b[tile_columns / 8];              /* read while the product is under way */
#pragma unroll
            for (int j = 0; j < tile_columns / 8; j++)
                b[j] = *(const float2 *)(s.b + column + 8 * j + lane % 4 * 2);
            wgmma_wait<0>();
            wgmma_use(d);
            release();

#pragma unroll
            for (int i = 0; i < tile_columns / 2; i++)
                d[i] += i % 2 ? b[i / 4].y : b[i / 4].x;
            unsigned sum[2][tile_columns / 8];
            if (ACCUMULATE) {
                put_lines(lines, old);
                __syncwarp();
                line_pointers(to, a.out, at);        /* looked up again: registers are few */
                if (step + 1 < end)
                    fetch_lines(old, to, column_of(step + 1), is_there(column_of(step + 1)));
            }
#pragma unroll
            for (int j = 0; j < tile_columns / 8; j++)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    sum[r][j] = ACCUMULATE ? *line_word(lines, j, r) : 0u;
            if (a.relu)
#pragma unroll
                for (int i = 0; i < tile_columns / 2; i++)
                    d[i] = fmaxf(d[i], 0.0f);
            if (a.mask)
#pragma unroll
                for (int i = 0; i < tile_columns / 2; i++)
                    d[i] *= mask[i / 2 % 2];
#pragma unroll
            for (int j = 0; j < tile_columns / 8; j++)
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float v0 = d[4 * j + 2 * r], v1 = d[4 * j + 2 * r + 1];
                    if (ACCUMULATE) {
                        v0 += low_half(sum[r][j]);
                        v1 += high_half(sum[r][j]);
                    }
                    *line_word(lines, j, r) = pack2(v0, v1);
                }
            __syncwarp();
            if (ACCUMULATE)
                line_pointers(to, a.out, at);
            send_lines(to, column, there, lines);
            __syncwarp();
        }
    }
}
#endif

template <int K, bool ACCUMULATE>
__global__ void __launch_bounds__(threads, 1) linear_wgmma_kernel(const __grid_constant__ linear_job a)
{
#ifdef FF_HAVE_WGMMA
    extern __shared__ __align__(1024) char shared_memory[];
    auto &s = *(linear_shared<K> *)shared_memory;
    using S = linear_shared<K>;
    if (threadIdx.x < S::tiles) {
        barrier_start(&s.full[threadIdx.x], 4);
        barrier_start(&s.empty[threadIdx.x], warps);
    }
    after_kernels_before();
    for (int k = (int)threadIdx.x; a.scale && k < K; k += threads) {
        s.scale[k] = a.scale[k];
        s.offset[k] = a.offset[k];
    }
    for (int k = (int)threadIdx.x; k < max_columns; k += threads)
        s.b[k] = a.b && k < a.n ? a.b[k] : 0.0f;
    __syncthreads();

    /* The steps of all warpgroups together, in equal pieces. */
    const uint64_t steps = a.steps + (groups - 1) * a.lag;
    const unsigned first = (unsigned)(steps * blockIdx.x / gridDim.x);
    const unsigned last = (unsigned)(steps * (blockIdx.x + 1) / gridDim.x);
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    const tile_ring tiles = {a.stays ? a.turn : (unsigned)S::tiles, 0, 0, a.stays};
    if (warp >= warps) {
        give_registers<32>();
        bring_tiles(s.full, s.empty, tiles, a.stays ? min(last - first, a.turn) : last - first,
                    [&](unsigned i, unsigned slot) {
                        int column = (int)((first + i) % a.turn) * tile_columns;
                        load_b<K, true>(s.w[slot], a.w + column, a.n, a.n - column);
                    });
    } else {
        take_registers<160>();
        multiply<K, ACCUMULATE>(s, a, warp, first, last, tiles);
    }
#endif
}

template <int K, bool ACCUMULATE>
void launch(struct ff_backend *be, linear_job &a)
{
    using S = linear_shared<K>;
    static bool ready = false;
    if (!ready)
        FF_CUDA(cudaFuncSetAttribute(linear_wgmma_kernel<K, ACCUMULATE>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                     (int)sizeof(S)));
    ready = true;
    a.turn = ff_blocks(a.n, tile_columns);
    a.lag = a.turn / groups;
    a.steps = ff_blocks(a.n_row, groups * group_rows) * a.turn;
    a.stays = a.turn <= (unsigned)S::tiles;
    unsigned blocks = min((unsigned)ff_cuda_sm_count(be), a.steps + (groups - 1) * a.lag);
    ff_cuda_launch_early(linear_wgmma_kernel<K, ACCUMULATE>, blocks, threads, sizeof(S), ff_cuda_stream(be), true,
                         a);
}

} // namespace

bool ff_cuda_linear_wgmma(struct ff_backend *be, const struct ff_linear_args *a)
{
    int64_t k = a->w.shape[0], n = a->w.shape[1];
    int axes = a->x.ndim - 1;
    if (!ff_cuda_has_wgmma(be) || !ff_is_bf16(&a->x) || !ff_is_bf16(&a->out) || !ff_is_bf16(&a->w))
        return false;
    if ((k != 64 && k != 128 && k != 256) || n > max_columns || !ff_cuda_aligned(&a->x, 8) ||
        !ff_cuda_aligned(&a->out, 8) || !ff_cuda_aligned(&a->w, 8))
        return false;
    linear_job j = {};
    j.x = (const bf16 *)a->x.data;
    j.w = (const bf16 *)a->w.data;
    j.out = (bf16 *)a->out.data;
    j.x_rows = ff_cuda_rows_of(&a->x, axes);
    j.out_rows = ff_cuda_rows_of(&a->out, axes);
    j.n_row = (unsigned)ff_cuda_row_count(&a->x, axes);
    j.n = (int)n;
    j.scale = ff_cuda_floats(&a->norm.scale);
    j.offset = ff_cuda_floats(&a->norm.offset);
    j.b = ff_cuda_floats(&a->b);
    j.mask = ff_cuda_floats(&a->mask);
    if (j.mask)
        j.mask_rows = ff_cuda_rows_of(&a->mask, a->mask.ndim);
    j.relu_input = a->relu_input;
    j.relu = a->relu;
    switch (k) {
    case 64:
        a->accumulate ? launch<64, true>(be, j) : launch<64, false>(be, j);
        break;
    case 128:
        a->accumulate ? launch<128, true>(be, j) : launch<128, false>(be, j);
        break;
    default:
        a->accumulate ? launch<256, true>(be, j) : launch<256, false>(be, j);
    }
    return true;
}
