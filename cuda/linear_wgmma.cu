/* SPDX-License-Identifier: Apache-2.0
 * linear_wgmma: out = [out +] mask * act(pre(x) W + b) in bf16 for rows of 64, 128 or 256 channels, pre: layer norm,
 * relu or nothing. For GPUs with the products of warpgroups (sm_90a).
 *
 * Shapes: x [.., K], out [.., n] with any leading strides, in up to three places, W [K, n], n a multiple of 8, at most
 * 1024; a second W and out of the same sizes and strides are columns n .. 2 n - 1 of both. One block per
 * multiprocessor: three warpgroups that multiply and one that brings what they need. A warpgroup has 64 rows, normed in
 * registers and kept there as A; W comes as tiles [K, 64], which all three use. The fourth warpgroup goes round and
 * round over the columns, as many tiles ahead as fit; a W that fits as a whole is brought once. Since the order of the
 * columns does not matter, each warpgroup begins new rows a third of a round after the one before, so that layer norm
 * of one runs beside the products of the others; and the rounds of all rows are cut into equal pieces for the blocks
 * wherever that falls. Rows are brought ahead too, to the places that W leaves free; only the first of a block are read
 * straight from memory.
 * Shared memory: 192 KiB tiles of W and rows, 24 KiB lines of results, bias, norm.
 * Cost: x and out once through memory, W once per 192 rows through the second-level cache; bound by memory up to
 * K = 128, by either at K = 256. Numerics: layer norm, sums, bias and the sum with the old out in float32; normed rows
 * rounded to bf16, the result rounded once. Reference: ops_cpu_general.c.
 */
#include <algorithm>

#include "dense_wgmma.cuh"
#include "rows_wgmma.cuh"

namespace {

constexpr int groups = 3, warps = 4 * groups, threads = 32 * (warps + 4), group_rows = 64;
constexpr int tile_columns = 64, room = 192 << 10, max_columns = 1024;

/* Rows from `from` on, until those of the next place: where they lie, counted from x and out of the job. */
struct linear_place {
    int64_t x, out;
    ff_cuda_rows x_rows, out_rows;
    unsigned from;
};

struct linear_job {
    const bf16 *x, *w;
    bf16 *out;
    int64_t w_second, out_second;        /* what column n of the first is away from column 0 of the second */
    linear_place places[FF_LINEAR_PLACES];
    ff_cuda_rows mask_rows;
    unsigned n_row;
    int n, columns;                              /* of W and out; of both together */
    const float *scale, *offset, *b, *b_second, *mask;   /* NULL: none */
    bool relu_input, relu;
    unsigned turn;               /* tiles in a round over the columns */
    unsigned lag;                /* of a warpgroup behind the one before, in tiles */
    unsigned steps;              /* tiles of all rounds of one warpgroup */
    unsigned tiles, stages;      /* places for tiles of W, for the rows of a warpgroup */
    bool stays;                  /* all of W fits */

    __device__ __forceinline__ const linear_place &place_of(unsigned row) const
    {
        static_assert(FF_LINEAR_PLACES == 3, "");
        return places[(row >= places[1].from ? 1 : 0) + (row >= places[2].from ? 1 : 0)];
    }
    __device__ __forceinline__ int64_t x_at(unsigned row) const
    {
        const linear_place &p = place_of(row);
        return p.x + p.x_rows.at(row - p.from);
    }
    __device__ __forceinline__ int64_t out_at(unsigned row) const
    {
        const linear_place &p = place_of(row);
        return p.out + p.out_rows.at(row - p.from);
    }
};

template <int K>
struct linear_shared {
    static_assert(group_rows == tile_columns, "the rows of a warpgroup take the place of a tile of W");
    static constexpr int tile_bytes = K * tile_columns * 2, places = room / tile_bytes;
    char place[places][tile_bytes];          /* W, then rows */
    char lines[warps][LINE_BYTES];
    float scale[K], offset[K], b[max_columns];
    int64_t at[warps][16];
    uint64_t full[places], empty[places];    /* tiles of W */
    uint64_t rows_full[groups * places], rows_empty[places];     /* of an event; places behind W */
};

#ifdef FF_HAVE_WGMMA
/* Rows that a block begins behind its first step, events: those of all warpgroups in the order of their steps, and of
 * the same step in the order of the warpgroups, come to the places for rows by turns. Of three that follow each other
 * each warpgroup has one. Some at the end are not there. Event e has the barrier e % (groups * stages), which one
 * warpgroup waits for, for what comes to one place. */
__device__ __forceinline__ unsigned begins(const linear_job &a, unsigned first, int group)
{
    const unsigned past = (first + 1 + a.turn - (unsigned)group * a.lag) % a.turn;
    return first + 1 + (past > 0 ? a.turn - past : 0);
}

/* The warpgroup that brings: its part of that. */
template <int K> struct row_bringer {
    linear_shared<K> &s;
    const linear_job &a;
    unsigned next[groups], event = 0, place = 0, parity = 1;

    __device__ __forceinline__ row_bringer(linear_shared<K> &shared, const linear_job &job, unsigned first)
        : s(shared), a(job)
    {
#pragma unroll
        for (int g = 0; g < groups; g++)
            next[g] = begins(a, first, g);
    }

    /* All that begin up to this step. */
    __device__ __forceinline__ void bring(unsigned last)
    {
        for (;;) {
            unsigned step = next[0], group = 0;
#pragma unroll
            for (int g = 1; g < groups; g++)
                if (next[g] < step) {
                    step = next[g];
                    group = (unsigned)g;
                }
            if (step > last)
                return;
#pragma unroll
            for (int g = 0; g < groups; g++)
                next[g] += (unsigned)g == group ? a.turn : 0;
            const unsigned own = step - group * a.lag;
            barrier_wait(&s.rows_empty[place], parity);
            __syncwarp();
            if (own < a.steps)
                copy((own / a.turn * groups + group) * group_rows);
            else
                barrier_arrive_warp(&s.rows_empty[place]);
            if (++event == groups * a.stages)
                event = 0;
            if (++place == a.stages) {
                place = 0;
                parity ^= 1u;
            }
        }
    }

    __device__ __forceinline__ void copy(unsigned row0)
    {
        constexpr int pieces = K / 8, at_once = 32 / pieces;
        const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x % 128 / 32, piece = lane % pieces;
        const unsigned row = row0 + (unsigned)(warp * 16 + lane % 16);
        const long long mine = row < a.n_row ? (long long)a.x_at(row) : -1;
        char *to = s.place[a.tiles + place] + warp * 16 * 2 * K;
        after_kernels_before();
#pragma unroll
        for (int i = 0; i < 16; i += at_once) {
            const int r = i + lane / pieces;
            const long long from = __shfl_sync(0xffffffffu, mine, r);
            copy16_async(to + staged_piece<K>(r, piece), a.x + (from < 0 ? 0 : from) + piece * 8, from >= 0);
        }
        barrier_arrive_copied(&s.rows_full[event]);
    }
};

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
    const unsigned first = step, begin = begins(a, first, group);
    unsigned event = 0, parity = 0;      /* of this warpgroup's rows */
#pragma unroll
    for (int g = 0; g < groups; g++)
        event += begins(a, first, g) < begin || (begins(a, first, g) == begin && g < group) ? 1u : 0u;
    after_kernels_before();
    while (step < last) {
        unsigned own = step - (unsigned)group * a.lag;       /* of this warpgroup's steps */
        if (own >= a.steps) {
            barrier_wait(&s.full[from.slot], from.parity);
            shared_fence();
            __syncwarp();
            release();
            step++;
            continue;
        }
        const unsigned row0 = (own / a.turn * groups + (unsigned)group) * group_rows + (unsigned)(warp % 4) * 16;
        const unsigned end = min(last, step + a.turn - own % a.turn);

        unsigned x[K / 16][4];
        const unsigned mine = row0 + (unsigned)(lane / 4);
        if (step == first) {
            load_a<K>(x, mine < a.n_row ? a.x + a.x_at(mine) : nullptr,
                      mine + 8 < a.n_row ? a.x + a.x_at(mine + 8) : nullptr);
        } else {
            const unsigned place = event % a.stages;
            barrier_wait(&s.rows_full[event], parity);
            load_staged<K>(x, s.place[a.tiles + place] + warp % 4 * 16 * 2 * K);
            barrier_arrive_warp(&s.rows_empty[place]);
            event += groups;
            if (event >= groups * a.stages) {
                event -= groups * a.stages;
                parity ^= 1u;
            }
        }
        float mask[2];
#pragma unroll
        for (int r = 0; r < 2; r++)
            mask[r] = a.mask && mine + 8 * r < a.n_row ? a.mask[a.mask_rows.at(mine + 8 * r)] : 1.0f;
        __syncwarp();
        if (lane < 16)
            at[lane] = row0 + (unsigned)lane < a.n_row ? a.out_at(row0 + (unsigned)lane) : -1;
        __syncwarp();
        if (a.scale)
            norm_a<K>(x, s.scale, s.offset);
        if (a.relu_input)
#pragma unroll
            for (int k = 0; k < K / 16; k++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    x[k][i] = relu2(x[k][i]);

        /* This thread's piece of the tile at a column: is it there; which one is it for the pointers below? */
        auto is_there = [&](int column) { return column + lane % 8 * 8 < a.columns; };
        auto piece_of = [&](int column) { return column + (column + lane % 8 * 8 < a.n ? 0 : a.out_second); };
        bf16 *to[4];
        uint4 old[4];                    /* what the tile is added to, asked for a tile ahead */
        const int columns = (int)a.turn * tile_columns;
        int column = (int)(step % a.turn) * tile_columns;
        auto behind = [&](int c) { return c + tile_columns < columns ? c + tile_columns : 0; };
        line_pointers(to, a.out, at);
        if (ACCUMULATE)
            fetch_lines(old, to, piece_of(column), is_there(column));
        for (; step < end; step++, column = behind(column)) {
            const bool there = is_there(column);

            float d[tile_columns / 2] = {};
            barrier_wait(&s.full[from.slot], from.parity);
            if (!a.stays || step - first < a.turn)   /* the tile is new */
                shared_fence();          /* here, as nobody waits for the copies where they are begun */
            const uint64_t w = b_operand(s.place[from.slot]);
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
                    fetch_lines(old, to, piece_of(behind(column)), is_there(behind(column)));
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
            send_lines(to, piece_of(column), there, lines);
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
    if (threadIdx.x < S::places) {
        barrier_start(&s.full[threadIdx.x], 128);
        barrier_start(&s.empty[threadIdx.x], warps);
        barrier_start(&s.rows_empty[threadIdx.x], 4 * warp_arrivals);
    }
    if (threadIdx.x < groups * S::places)
        barrier_start(&s.rows_full[threadIdx.x], 128);
    for (int k = (int)threadIdx.x; a.scale && k < K; k += threads) {
        s.scale[k] = a.scale[k];
        s.offset[k] = a.offset[k];
    }
    for (int k = (int)threadIdx.x; k < max_columns; k += threads)
        s.b[k] = a.b && k < a.n ? a.b[k] : a.b_second && k >= a.n && k < a.columns ? a.b_second[k - a.n] : 0.0f;
    __syncthreads();

    /* The steps of all warpgroups together, in equal pieces. */
    const uint64_t steps = a.steps + (groups - 1) * a.lag;
    const unsigned first = (unsigned)(steps * blockIdx.x / gridDim.x);
    const unsigned last = (unsigned)(steps * (blockIdx.x + 1) / gridDim.x);
    const int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0);
    tile_ring tiles = {a.tiles, 0, 0, a.stays};
    if (warp >= warps) {
        give_registers<32>();
        row_bringer<K> rows(s, a, first);
        const unsigned count = a.stays ? min(last - first, a.turn) : last - first;
        unsigned column = first % a.turn * tile_columns;
        for (unsigned i = 0; i < count; i++) {
            barrier_wait(&s.empty[tiles.slot], tiles.parity ^ 1u);
            __syncwarp();
            const bool in_first = (int)column + (int)threadIdx.x % 8 * 8 < a.n;
            load_b<K, true>(s.place[tiles.slot], a.w + column + (in_first ? 0 : a.w_second), a.n,
                            a.columns - (int)column);
            barrier_arrive_copied(&s.full[tiles.slot]);
            tiles.next();
            column = column + tile_columns < a.turn * tile_columns ? column + tile_columns : 0;
            rows.bring(i + 1 == count ? last - 1 : a.stays ? first : first + i + 1);
        }
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
    a.turn = ff_blocks(a.columns, tile_columns);
    a.lag = a.turn / groups;
    a.steps = ff_blocks(a.n_row, groups * group_rows) * a.turn;
    a.stays = a.turn < (unsigned)S::places;
    a.tiles = a.stays ? a.turn : S::places - 1;
    a.stages = S::places - a.tiles;
    unsigned blocks = min((unsigned)ff_cuda_sm_count(be), a.steps + (groups - 1) * a.lag);
    ff_cuda_launch_early(linear_wgmma_kernel<K, ACCUMULATE>, blocks, threads, sizeof(S), ff_cuda_stream(be), true,
                         a);
}

/* The second layer is as the first, in another place. */
bool is_second(const struct ff_linear_args *a)
{
    bool same = a->out2.ndim == a->out.ndim && a->w2.shape[1] == a->w.shape[1] && a->out2.dtype == a->out.dtype &&
                a->w2.dtype == a->w.dtype && ff_cuda_aligned(&a->out2, 8) && ff_cuda_aligned(&a->w2, 8);
    for (int d = 0; d < a->out.ndim && same; d++)
        same = a->out2.shape[d] == a->out.shape[d] && a->out2.stride[d] == a->out.stride[d];
    return same;
}

} // namespace

bool ff_cuda_linear_wgmma(struct ff_backend *be, const struct ff_linear_args *a)
{
    int64_t k = a->w.shape[0], n = a->w.shape[1];
    const bool two = ff_tensor_present(&a->out2);
    if (!ff_cuda_has_wgmma(be) || !ff_is_bf16(&a->w) || (k != 64 && k != 128 && k != 256) ||
        (two ? 2 : 1) * n > max_columns || !ff_cuda_aligned(&a->w, 8) || (two && !is_second(a)))
        return false;
    struct ff_linear_args place[FF_LINEAR_PLACES];
    const int places = ff_linear_places(a, place);
    for (int i = 0; i < places; i++)
        if (!ff_is_bf16(&place[i].x) || !ff_is_bf16(&place[i].out) || !ff_cuda_aligned(&place[i].x, 8) ||
            !ff_cuda_aligned(&place[i].out, 8))
            return false;
    linear_job j = {};
    j.x = (const bf16 *)a->x.data;       /* of all places the lowest: below 0 are rows that are not there */
    j.w = (const bf16 *)a->w.data;
    j.out = (bf16 *)a->out.data;
    for (int i = 1; i < places; i++) {
        j.x = std::min(j.x, (const bf16 *)place[i].x.data);
        j.out = std::min(j.out, (bf16 *)place[i].out.data);
    }
    for (int i = 0; i < FF_LINEAR_PLACES; i++) {
        j.places[i].from = i < places ? j.n_row : UINT32_MAX;
        if (i >= places)
            continue;
        const struct ff_tensor *x = &place[i].x, *out = &place[i].out;
        j.places[i].x = (const bf16 *)x->data - j.x;
        j.places[i].out = (bf16 *)out->data - j.out;
        j.places[i].x_rows = ff_cuda_rows_of(x, x->ndim - 1);
        j.places[i].out_rows = ff_cuda_rows_of(out, out->ndim - 1);
        j.n_row += (unsigned)ff_cuda_row_count(x, x->ndim - 1);
    }
    j.n = j.columns = (int)n;
    if (two) {
        j.columns = 2 * j.n;
        j.w_second = (const bf16 *)a->w2.data - j.w - n;
        j.out_second = (bf16 *)a->out2.data - j.out - n;
        j.b_second = ff_cuda_floats(&a->b2);
    }
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
