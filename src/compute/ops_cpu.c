/* SPDX-License-Identifier: Apache-2.0
 * The cpu backend: memory, the table of ops, and the one place where threads are started.
 */
#include "compute/ops_cpu.h"

#include <cblas.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "compute/blas.h"

struct run {             /* of pieces that a thread is to do; see ff_cpu_for() */
    _Alignas(64) _Atomic uint64_t pieces;
};

struct cpu {
    int threads;
    struct run *runs;    /* [threads] */
    char *workspace;     /* FF_CPU_SHARED bytes, then FF_CPU_SCRATCH per thread */
    struct ff_cpu_reference *reference;     /* NULL: nothing is measured */
};

enum { CACHE_LINE = 64, COPY_STEP = 1 << 20 };

/* --- memory --- */

static size_t cpu_free_memory(struct ff_backend *be)
{
    (void)be;
    return ff_clock_available_memory();
}

static ff_status cpu_alloc(struct ff_backend *be, size_t bytes, void **ret)
{
    (void)be;
    /* The kernel grants what it does not have and ends the process later: refuse it here. */
    size_t available = ff_clock_available_memory();
    if (available > 0 && bytes > available)
        return ff_fail(FF_EMEMORY, "cpu: %.2f GiB of memory wanted, %.2f GiB available", (double)bytes / (1 << 30),
                       (double)available / (1 << 30));
    *ret = ff_alloc_large(bytes);
    if (*ret == NULL)
        return ff_fail(FF_EMEMORY, "cpu: the system could not give %.2f GiB of memory", (double)bytes / (1 << 30));
    return FF_OK;
}

static void cpu_release(struct ff_backend *be, void *p)
{
    (void)be;
    free(p);
}

struct copy_bytes {
    char *to;
    const char *from;
};

static void copy_part(void *user, struct ff_scratch *s, int64_t from, int64_t count)
{
    const struct copy_bytes *c = user;
    (void)s;
    memcpy(c->to + from, c->from + from, (size_t)count);
}

static void cpu_upload(struct ff_backend *be, const struct ff_tensor *dst, const void *src)
{
    FF_ASSERT(ff_tensor_contiguous(dst));
    ff_cpu_for(be, (int64_t)ff_tensor_bytes(dst), COPY_STEP, copy_part, &(struct copy_bytes){dst->data, src});
}

static void cpu_download(struct ff_backend *be, void *dst, const struct ff_tensor *src)
{
    (void)be;
    FF_ASSERT(ff_tensor_contiguous(src));
    memcpy(dst, src->data, ff_tensor_bytes(src));
}

static void cpu_store(struct ff_backend *be, void *host, size_t pitch, const struct ff_tensor *src)
{
    (void)be;
    FF_ASSERT(ff_tensor_contiguous(src));
    size_t row = ff_tensor_bytes(src) / (size_t)src->shape[0];
    for (size_t i = 0; i < (size_t)src->shape[0]; i++)
        memcpy((char *)host + i * (pitch > 0 ? pitch : row), (const char *)src->data + i * row, row);
}

static void cpu_fetch(struct ff_backend *be, const struct ff_tensor *dst, const void *host, size_t pitch)
{
    (void)be;
    FF_ASSERT(ff_tensor_contiguous(dst));
    size_t row = ff_tensor_bytes(dst) / (size_t)dst->shape[0];
    for (size_t i = 0; i < (size_t)dst->shape[0]; i++)
        memcpy((char *)dst->data + i * row, (const char *)host + i * (pitch > 0 ? pitch : row), row);
}

static void cpu_upload_rows(struct ff_backend *be, const struct ff_tensor *dst, const void *src, size_t pitch)
{
    if (dst->shape[0] > 0)
        cpu_fetch(be, dst, src, pitch);
}

static void cpu_sync(struct ff_backend *be)
{
    (void)be;    /* every op is complete when it returns */
}

/* --- scratch and work --- */

static size_t round_to_line(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

float *ff_scratch_floats(struct ff_scratch *s, int64_t n)
{
    FF_ASSERT(n >= 0);
    size_t bytes = round_to_line((size_t)n * sizeof(float));
    FF_ASSERT(bytes <= (size_t)(s->end - s->at));
    float *p = (float *)(void *)s->at;
    s->at += bytes;
    return p;
}

float *ff_cpu_shared(struct ff_backend *be, int64_t n)
{
    FF_ASSERT(n >= 0 && (size_t)n * sizeof(float) <= FF_CPU_SHARED);
    return (float *)(void *)((struct cpu *)be->impl)->workspace;
}

int ff_cpu_threads(const struct ff_backend *be)
{
    return ((const struct cpu *)be->impl)->threads;
}

static struct ff_scratch scratch_of(const struct cpu *cpu, int thread)
{
    char *at = cpu->workspace + FF_CPU_SHARED + (size_t)thread * FF_CPU_SCRATCH;
    return (struct ff_scratch){at, at + FF_CPU_SCRATCH};
}

/* Piece p of [0, n). */
static void run_piece(const struct cpu *cpu, int thread, int64_t n, int64_t step, int64_t p, ff_cpu_piece fn,
                      void *user)
{
    struct ff_scratch s = scratch_of(cpu, thread);
    fn(user, &s, p * step, n - p * step < step ? n - p * step : step);
}

/* Pieces [from, to), from in the upper half: so that both change at once. */
static uint64_t pack_run(uint64_t from, uint64_t to)
{
    return from << 32 | to;
}

/* The next piece of the owner of a run, who goes upwards, or of another thread, which goes downwards: the owner has
 * fetched what comes next. -1: none is left. */
static int64_t take_piece(struct run *r, bool own)
{
    uint64_t now = atomic_load_explicit(&r->pieces, memory_order_relaxed);
    for (;;) {
        uint64_t from = now >> 32, to = (uint32_t)now;
        if (from >= to)
            return -1;
        uint64_t left = own ? pack_run(from + 1, to) : pack_run(from, to - 1);
        if (atomic_compare_exchange_weak_explicit(&r->pieces, &now, left, memory_order_relaxed, memory_order_relaxed))
            return own ? (int64_t)from : (int64_t)to - 1;
    }
}

void ff_cpu_for(struct ff_backend *be, int64_t n, int64_t step, ff_cpu_piece fn, void *user)
{
    const struct cpu *cpu = be->impl;
    FF_ASSERT(step >= 1);
    const int64_t pieces = (n + step - 1) / step;
    const int threads = cpu->threads;
    if (pieces <= 1 || threads == 1) {
        for (int64_t p = 0; p < pieces; p++)
            run_piece(cpu, 0, n, step, p, fn, user);
        return;
    }
    /* Always the same number of threads: the OpenMP library ends and restarts threads when it changes. */
    if (pieces <= threads) {
        /* One for each, always the same, which finds in its cache what it had there before. */
#pragma omp parallel for schedule(static, 1) num_threads(threads)
        for (int64_t p = 0; p < pieces; p++)
            run_piece(cpu, omp_get_thread_num(), n, step, p, fn, user);
        return;
    }
    /* Each thread has a run of neighbours, so that what a piece fetches ahead is there when the thread comes to it, and
     * always the same. Who is done helps the others. */
    FF_ASSERT(pieces <= INT32_MAX);
    for (int t = 0; t < threads; t++)
        atomic_store_explicit(&cpu->runs[t].pieces, pack_run((uint64_t)(pieces * t / threads),
                                                             (uint64_t)(pieces * (t + 1) / threads)),
                              memory_order_relaxed);
#pragma omp parallel num_threads(threads)
    {
        const int me = omp_get_thread_num();
        for (int k = 0; k < threads; k++) {
            struct run *r = &cpu->runs[(me + k) % threads];
            for (int64_t p = take_piece(r, k == 0); p >= 0; p = take_piece(r, k == 0))
                run_piece(cpu, me, n, step, p, fn, user);
        }
    }
}

void ff_cpu_rows(struct ff_backend *be, int64_t n, int64_t row_floats, int64_t fixed_floats, ff_cpu_piece fn,
                 void *user)
{
    const int64_t alignment = 32 * CACHE_LINE / (int64_t)sizeof(float);    /* up to 32 scratch arrays */
    int64_t room = FF_CPU_SCRATCH / (int64_t)sizeof(float) - alignment - fixed_floats;
    int64_t step = FF_TILE_ROWS;
    if (row_floats > 0 && step > room / row_floats)
        step = room / row_floats;
    FF_ASSERT(step >= 1);
    int64_t share = (n + ff_cpu_threads(be) - 1) / ff_cpu_threads(be);
    share = (share + 15) / 16 * 16;
    if (share > 0 && step > share)
        step = share;
    ff_cpu_for(be, n, step, fn, user);
}

/* --- what the machine reaches --- */

enum { PRODUCT = 1536, COPIED = 64 << 20, COPY_AREA = 256 << 20, GATED = 2048, GATINGS = 8000 };

/* Operands of the measurements, kept from one to the next. */
struct ff_cpu_reference {
    float *left, *right, *out;       /* [PRODUCT, PRODUCT], those of all threads, and one for each of them */
    char *area[2];                   /* COPY_AREA bytes each, more than caches keep; NULL: no memory for them */
    size_t window;                   /* start of what is copied next */
};

/* One share of work for each thread, and what each made by its own clock: how fast they are together does not depend on
 * which was held up by others, as it does not where threads take small pieces of an operation from each other. */
struct shares {
    const struct ff_cpu_reference *r;
    int threads;
    double start, *seconds;          /* [threads] until the share was done */
};

static void product_share(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct shares *s = user;
    (void)scratch;
    for (int64_t i = from; i < from + count; i++) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, PRODUCT, PRODUCT, PRODUCT, 1.0f, s->r->left, PRODUCT,
                    s->r->right, PRODUCT, 0.0f, s->r->out + i * PRODUCT * PRODUCT, PRODUCT);
        s->seconds[i] = ff_clock_now() - s->start;
    }
}

static size_t copy_share_bytes(int threads)
{
    size_t share = COPIED / (size_t)threads;
    return share > COPY_STEP ? share / COPY_STEP * COPY_STEP : COPY_STEP;
}

static void copy_share(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct shares *s = user;
    const struct ff_cpu_reference *r = s->r;
    size_t share = copy_share_bytes(s->threads);
    for (int64_t i = from; i < from + count; i++) {
        for (size_t at = 0; at < share; at += COPY_STEP) {
            size_t place = (r->window + (size_t)i * share + at) % COPY_AREA;
            copy_part(&(struct copy_bytes){r->area[0], r->area[1]}, scratch, (int64_t)place, COPY_STEP);
        }
        s->seconds[i] = ff_clock_now() - s->start;
    }
}

/* A sigmoid is an exponential and a quotient. */
static void gate_share(void *user, struct ff_scratch *scratch, int64_t from, int64_t count)
{
    const struct shares *s = user;
    float *x = ff_scratch_floats(scratch, GATED), *out = ff_scratch_floats(scratch, GATED);
    for (int64_t i = 0; i < GATED; i++)
        x[i] = (float)((from + i) % 64) * 0.1f - 3.0f;
    for (int64_t i = from; i < from + count; i++) {
        for (int k = 0; k < GATINGS; k++)
            ff_tile_gate(out, GATED, x, GATED, x, GATED, 1, GATED, NULL, NULL);
        s->seconds[i] = ff_clock_now() - s->start;
    }
}

/* Of all threads together, where each does `amount` of it. */
static double rate_of(struct ff_backend *be, const struct ff_cpu_reference *r, ff_cpu_piece share, double amount)
{
    int threads = ff_cpu_threads(be);
    struct shares s = {.r = r, .threads = threads, .seconds = FF_NEW_ARRAY(double, (size_t)threads)};
    double rate = 0;
    s.start = ff_clock_now();
    ff_cpu_for(be, threads, 1, share, &s);
    for (int i = 0; i < threads; i++)
        rate += amount / s.seconds[i];
    free(s.seconds);
    return rate;
}

static void drop_reference(struct cpu *cpu)
{
    struct ff_cpu_reference *r = cpu->reference;
    if (r == NULL)
        return;
    free(r->left);
    for (int i = 0; i < 2; i++)
        free(r->area[i]);
    free(r);
    cpu->reference = NULL;
}

/* Every page is touched, and threads and library are warm. */
static struct ff_cpu_reference *make_reference(struct ff_backend *be)
{
    struct ff_cpu_reference *r = FF_NEW(struct ff_cpu_reference);
    const size_t matrix = (size_t)PRODUCT * PRODUCT;
    r->left = ff_xmalloc_large((2 + (size_t)ff_cpu_threads(be)) * matrix * sizeof *r->left);
    r->right = r->left + matrix;
    r->out = r->right + matrix;
    for (size_t i = 0; i < 2 * matrix; i++)
        r->left[i] = (float)(i % 17) - 8.0f;
    rate_of(be, r, product_share, 1);
    for (int i = 0; i < 2; i++) {
        void *area = NULL;
        if (cpu_alloc(be, COPY_AREA, &area) != FF_OK)
            ff_status_clear();
        else
            memset(area, i + 1, COPY_AREA);
        r->area[i] = area;
    }
    return r;
}

static void cpu_measure(struct ff_backend *be, const struct ff_cost *of, struct ff_rates *ret)
{
    struct cpu *cpu = be->impl;
    if (ret == NULL) {
        drop_reference(cpu);
        return;
    }
    if (cpu->reference == NULL)
        cpu->reference = make_reference(be);
    struct ff_cpu_reference *r = cpu->reference;
    *ret = (struct ff_rates){0};
    if (of == NULL || of->flops > 0)
        ret->flops = rate_of(be, r, product_share, 2.0 * PRODUCT * PRODUCT * PRODUCT);
    if (r->area[0] != NULL && r->area[1] != NULL) {
        size_t share = copy_share_bytes(cpu->threads);
        ret->bytes = rate_of(be, r, copy_share, 2.0 * (double)share);
        r->window = (r->window + share * (size_t)cpu->threads) % COPY_AREA;
    }
    if (of == NULL || of->functions > 0)
        ret->functions = rate_of(be, r, gate_share, 2.0 * GATED * GATINGS);
}

/* --- the backend --- */

static const struct ff_ops cpu_ops = {
#define X(op) .op = ff_cpu_##op,
    FF_OPS(X)
#undef X
};

static void cpu_destroy(struct ff_backend *be)
{
    struct cpu *cpu = be->impl;
    drop_reference(cpu);
    free(cpu->workspace);
    free(cpu->runs);
    free(cpu);
    free(be);
}

ff_status ff_cpu_create(enum ff_precision precision, int threads, struct ff_backend **ret)
{
    *ret = NULL;
    if (precision != FF_PRECISION_AUTO && precision != FF_PRECISION_FP32)
        return ff_fail(FF_EUSAGE, "the cpu computes in fp32 only; use --precision fp32 or auto, or --device cuda");
    if (threads < 0)
        return ff_fail(FF_EUSAGE, "%d threads wanted; expected 1 or more, or 0 for all processors", threads);
    if (threads == 0)
        threads = ff_clock_cpu_count();

    void *workspace;
    size_t size = FF_CPU_SHARED + (size_t)threads * FF_CPU_SCRATCH;
    FF_TRY(cpu_alloc(NULL, size, &workspace));

    ff_blas_start();
    ff_blas_set_threads(1);
    struct cpu *cpu = FF_NEW(struct cpu);
    *cpu = (struct cpu){.threads = threads, .workspace = workspace,
                        .runs = ff_xcalloc_aligned(_Alignof(struct run), (size_t)threads * sizeof *cpu->runs)};
    struct ff_backend *be = FF_NEW(struct ff_backend);
    *be = (struct ff_backend){
        .ops = &cpu_ops,
        .name = "cpu",
        .precision = FF_PRECISION_FP32,
        .activation = FF_F32,
        .workspace = size,
        .impl = cpu,
        .alloc = cpu_alloc,
        .release = cpu_release,
        .free_memory = cpu_free_memory,
        .upload = cpu_upload,
        .upload_rows = cpu_upload_rows,
        .download = cpu_download,
        .sync = cpu_sync,
        .alloc_host = cpu_alloc,
        .release_host = cpu_release,
        .store = cpu_store,
        .fetch = cpu_fetch,
        .settle = cpu_sync,
        .measure = cpu_measure,
        .destroy = cpu_destroy,
    };
    *ret = be;
    return FF_OK;
}

void ff_cpu_describe(void (*line)(void *user, const char *text), void *user)
{
    char *blas = ff_blas_describe();
    char *text = ff_xasprintf("cpu: %d processors, %s; %s", ff_clock_cpu_count(), ff_isa_name(ff_isa()), blas);
    line(user, text);
    free(text);
    free(blas);
}
