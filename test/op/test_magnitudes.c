/* SPDX-License-Identifier: Apache-2.0
 * Numbers of all sizes: what lies far outside of what exp, float16 or three pieces of bfloat16 hold must give what
 * double precision gives, or at least numbers.
 */
#include "op/operands.h"

#include "compute/op_fill.h"
#include "format/array.h"

/* --- attention far outside of what exp can hold --- */

/* The logit of key j in row b of the batch: all far below 0; low ones before high ones; one far above all others. */
static float far_logit(int b, int j)
{
    return b == 0 ? -400.0f : b == 1 ? (j < 128 ? -400.0f : 500.0f) : (j == 140 ? 1000.0f : (float)(j % 7) - 90.0f);
}

/* x [b, l, c] in the backend's memory, in the type that its attention takes; and what attention left there. */
static struct ff_tensor attended(const float *x, int64_t b, int64_t l, int64_t c)
{
    const enum ff_dtype type = ff_backend_attended(backend);
    if (type == FF_F32 || x == NULL)
        return put(type, x, FF_SHAPE(b, l, c));
    uint16_t *half = ff_xcalloc((size_t)(b * l * c), sizeof *half);
    ff_fill_narrow(half, type, x, (size_t)(b * l * c));
    struct ff_tensor t = put(type, half, FF_SHAPE(b, l, c));
    free(half);
    return t;
}
static void fetch_attended(float *x, const struct ff_tensor *t)
{
    struct ff_array a = {.dtype = t->dtype, .ndim = 1, .shape = {ff_tensor_count(t)}};
    a.data = ff_xcalloc((size_t)a.shape[0], ff_dtype_size(a.dtype));
    backend->sync(backend);
    backend->download(backend, a.data, t);
    ff_array_to_f32(&a);
    memcpy(x, a.data, (size_t)a.shape[0] * sizeof *x);
    ff_array_free(&a);
}

/* One head of d channels. */
static void check_far_logits(int d)
{
    enum { B = 3, L = 300 };
    float *x = ff_xcalloc((size_t)(B * L * 4 * d), sizeof *x), *out = ff_xcalloc((size_t)(B * L * d), sizeof *out);
    float ones[B * L];
    for (int b = 0; b < B; b++)
        for (int j = 0; j < L; j++) {
            float *at = x + (b * L + j) * 4 * d;
            for (int c = 0; c < d; c++) {
                at[c] = 1.0f;                                /* q.k / sqrt(d) = sqrt(d) k */
                at[d + c] = far_logit(b, j) / sqrtf((float)d);
                at[2 * d + c] = (float)((c + 1) * (j + 1));
                at[3 * d + c] = 40.0f;                       /* an open gate */
            }
            ones[b * L + j] = 1.0f;
        }
    struct ff_tensor to = attended(NULL, B, L, d);
    FF_OP(backend, attention, .out = to, .qkvg = attended(x, B, L, 4 * d), .mask = FLOATS(ones, B, L), .n_head = 1);
    fetch_attended(out, &to);
    /* The mean over the keys that count. */
    const double expected[B] = {150.5, (129 + 300) / 2.0, 141.0};
    const enum ff_dtype type = ff_backend_attended(backend);
    const double allowed = type == FF_BF16 ? 1e-2 : type == FF_F16 ? 1e-3 : 1e-5;
    for (int i = 0; i < B * L * d; i++) {
        double got = out[i], want = (i % d + 1) * expected[i / (L * d)];
        if (!(fabs(got / want - 1.0) < allowed))
            fail_msg("%d channels, row %d, query %d, channel %d: %.9g, expected %.9g", d, i / (L * d), i / d % L, i % d,
                     got, want);
    }
    free(out);
    free(x);
}

static void test_attention_far_logits(void **state)
{
    (void)state;
    static const int d[] = {4, 8, 16, 32};
    for (size_t i = 0; i < sizeof d / sizeof *d; i++)
        check_far_logits(d[i]);
}

static void test_attention_far_logits_bf16(void **state)
{
    struct ff_backend *outer = backend;
    const char *device = getenv("FF_TEST_DEVICE");
    if (device == NULL || strcmp(device, "cuda") != 0)
        skip();
    assert_ok(ff_backend_create(FF_DEVICE_CUDA, FF_PRECISION_BF16, 3, &backend));
    test_attention_far_logits(state);
    drop(state);
    ff_backend_destroy(backend);
    backend = outer;
}

/* --- numbers of all sizes in a linear layer --- */

/* Rows and columns each of their own size, a row of zeros, and rows with an inf and a nan, which are nobody else's
 * matter. What a result may be off by is a share of what is summed up in it. */
static void test_linear_magnitudes(void **state)
{
    (void)state;
    enum { ROWS = 200, K = 192, N = 72, ZEROS = 10, INF_ROW = 20, NAN_ROW = 30 };
    const float powers[9] = {1.0f, 1e-18f, 1e6f, 1e-9f, 3e4f, 1e18f, 1e-3f, 7e4f, 1e-12f};
    float *x = ff_xcalloc(ROWS * K, sizeof *x), *w = ff_xcalloc(K * N, sizeof *w);
    float *out = ff_xcalloc(ROWS * N, sizeof *out);
    for (int r = 0; r < ROWS; r++)
        for (int k = 0; k < K; k++)
            x[r * K + k] = r == ZEROS ? 0.0f : wave(r * K + k) * powers[r % 9];
    x[INF_ROW * K + 5] = INFINITY;
    x[NAN_ROW * K + 150] = NAN;
    for (int k = 0; k < K; k++)
        for (int n = 0; n < N; n++)
            w[k * N + n] = wave(3 * k + 7 * n * n) * powers[n % 5];
    struct ff_tensor y = FLOATS(NULL, ROWS, N);
    FF_OP(backend, linear, .out = y, .x = FLOATS(x, ROWS, K), .w = FLOATS(w, K, N));
    backend->sync(backend);
    backend->download(backend, out, &y);
    const double allowed = backend->precision == FF_PRECISION_TF32 ? 1e-3 : 1e-6;
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < N; n++) {
            double want = 0, size = 0, got = out[r * N + n];
            for (int k = 0; k < K; k++) {
                double product = (double)x[r * K + k] * w[k * N + n];
                want += product;
                size += fabs(product);
            }
            if (r == INF_ROW || r == NAN_ROW)
                assert_false(isfinite(got));
            else if (!(fabs(got - want) <= allowed * size))
                fail_msg("row %d, column %d: %.9g, expected %.9g", r, n, got, want);
        }
    free(out);
    free(w);
    free(x);
}

/* The share of what is summed up in a result by which it may be off. */
static double allowed_share(void)
{
    return backend->precision == FF_PRECISION_TF32 ? 2.5e-3 : 1e-6;
}

/* Later keys and values far larger than the first. */
static void test_attention_magnitudes(void **state)
{
    (void)state;
    enum { L = 100, D = 32 };
    float *x = ff_xcalloc((size_t)L * 4 * D, sizeof *x), ones[L], out[L * D];
    for (int j = 0; j < L; j++) {
        for (int c = 0; c < 4 * D; c++)
            x[j * 4 * D + c] = wave(j * 4 * D + c) * (c < D ? 1e-3f : c >= 3 * D ? 1.0f : j < 50 ? 1e-3f : 1e3f);
        ones[j] = 1.0f;
    }
    struct ff_tensor to = attended(NULL, 1, L, D);
    FF_OP(backend, attention, .out = to, .qkvg = attended(x, 1, L, 4 * D), .mask = FLOATS(ones, 1, L), .n_head = 1);
    fetch_attended(out, &to);
    for (int i = 0; i < L; i++) {
        double weight[L], all = 0;
        for (int j = 0; j < L; j++) {
            double dot = 0;
            for (int c = 0; c < D; c++)
                dot += (double)x[i * 4 * D + c] * x[j * 4 * D + D + c];
            weight[j] = exp(dot / sqrt(D));
            all += weight[j];
        }
        for (int c = 0; c < D; c++) {
            double want = 0, size = 0, gate = 1 + exp(-x[i * 4 * D + 3 * D + c]);
            for (int j = 0; j < L; j++) {
                want += weight[j] / all / gate * x[j * 4 * D + 2 * D + c];
                size += fabs(weight[j] / all / gate * x[j * 4 * D + 2 * D + c]);
            }
            if (!(fabs(out[i * D + c] - want) <= allowed_share() * size))
                fail_msg("query %d, channel %d: %.9g, expected %.9g", i, c, out[i * D + c], want);
        }
    }
    free(x);
}

/* A bias beyond float16 is the largest there, so that logits stay numbers. */
static void check_large_bias(int c)
{
    enum { ROWS = 3, COLUMNS = 5, PAIRS = ROWS * COLUMNS, HEADS = 4 };
    const bool narrow = ff_backend_attended(backend) == FF_F16;
    float *x = ff_xcalloc((size_t)(PAIRS * c), sizeof *x), *w = ff_xcalloc((size_t)(c * HEADS), sizeof *w);
    float *ones = ff_xcalloc((size_t)c, sizeof *ones), out[HEADS * PAIRS];
    for (int k = 0; k < PAIRS * c; k++)
        x[k] = wave(k);
    for (int k = 0; k < c; k++) {
        ones[k] = 1.0f;
        for (int h = 0; h < HEADS; h++)
            w[k * HEADS + h] = wave(7 * k + h) * (h % 2 == 0 ? 1e6f : 1.0f);
    }
    struct ff_tensor to = attended(NULL, HEADS, ROWS, COLUMNS);
    FF_OP(backend, pair_bias, .out = to, .x = FLOATS(x, ROWS, COLUMNS, c), .w = FLOATS(w, c, HEADS),
          .norm = {.scale = FLOATS(ones, c), .offset = FLOATS(NULL, c)});
    fetch_attended(out, &to);
    int large = 0;
    for (int at = 0; at < HEADS * PAIRS; at++) {
        const float *row = x + at % PAIRS * c;
        double mean = 0, square = 0, want = 0, size = 0;
        for (int k = 0; k < c; k++)
            mean += row[k] / c;
        for (int k = 0; k < c; k++)
            square += (row[k] - mean) * (row[k] - mean) / c;
        for (int k = 0; k < c; k++) {
            double product = (row[k] - mean) / sqrt(square + 1e-5) * w[k * HEADS + at / PAIRS];
            want += product;
            size += fabs(product);
        }
        large += fabs(want) > 65504;
        if (narrow)
            want = fmin(fmax(want, -65504.0), 65504.0);
        if (!(fabs(out[at] - want) <= (narrow ? 1e-3 : 0) * fabs(want) + 1e-6 * size))
            fail_msg("%d channels, head %d, pair %d: %.9g, expected %.9g", c, at / PAIRS, at % PAIRS, out[at], want);
    }
    assert_true(large > 0);
    free(ones);
    free(w);
    free(x);
}

static void test_pair_bias_range(void **state)
{
    (void)state;
    check_large_bias(128);
    check_large_bias(20);
}

static void test_contract_magnitudes(void **state)
{
    (void)state;
    enum { C = 2, N = 48, K = 44 };
    const float powers[3] = {1.0f, 1e18f, 1e-18f};
    float *a = ff_xcalloc(C * N * K, sizeof *a), *b = ff_xcalloc(C * N * K, sizeof *b);
    float *out = ff_xcalloc(C * N * N, sizeof *out);
    for (int r = 0; r < C * N; r++)
        for (int k = 0; k < K; k++) {
            a[r * K + k] = wave(r * K + k) * powers[r % N / 16] * (float)(1 + r % 16);
            b[r * K + k] = wave(3 * k + 7 * r) * powers[(r + 16) % N / 16];
        }
    struct ff_tensor y = FLOATS(NULL, C, N, N);
    FF_OP(backend, triangle_contract, .out = y, .a = FLOATS(a, C, N, K), .b = FLOATS(b, C, N, K));
    backend->sync(backend);
    backend->download(backend, out, &y);
    for (int at = 0; at < C * N * N; at++) {
        const float *x = a + at / N * K, *w = b + (at / N / N * N + at % N) * K;
        double want = 0, size = 0;
        for (int k = 0; k < K; k++) {
            want += (double)x[k] * w[k];
            size += fabs((double)x[k] * w[k]);
        }
        if (!(fabs(out[at] - want) <= allowed_share() * size))
            fail_msg("row %d, column %d: %.9g, expected %.9g", at / N, at % N, out[at], want);
    }
    free(out);
    free(b);
    free(a);
}

static void test_outer_product_mean_magnitudes(void **state)
{
    (void)state;
    enum { S = 5, N = 6, C = 32, C_OUT = 128, SIZE = S * N * C };
    float a[SIZE], b[SIZE], mask[S * N], *w = ff_xcalloc(C * C * C_OUT, sizeof *w), out[N * N * C_OUT];
    for (int k = 0; k < SIZE; k++) {
        a[k] = wave(k) * 3e9f;
        b[k] = wave(5 * k + 1) * 2e-11f * (float)(1 + k / C % N);
    }
    for (int k = 0; k < C * C * C_OUT; k++)
        w[k] = wave(k / 3 + k % 7) * 1e-7f;
    for (int k = 0; k < S * N; k++)
        mask[k] = 1.0f;
    struct ff_tensor z = FLOATS(NULL, N, N, C_OUT), m = FLOATS(mask, S, N);
    FF_OP(backend, outer_product_mean, .out = z, .a = FLOATS(a, S, N, C), .b = FLOATS(b, S, N, C), .mask_a = m,
          .mask_b = m, .w = FLOATS(w, C * C, C_OUT), .bias = FLOATS(NULL, C_OUT));
    backend->sync(backend);
    backend->download(backend, out, &z);
    for (int pair = 0; pair < N * N; pair++)
        for (int c = 0; c < C_OUT; c++) {
            double want = 0, size = 0, got = out[pair * C_OUT + c] * (S + 1e-3);
            for (int k = 0; k < C * C; k++) {
                double p = 0;
                for (int s = 0; s < S; s++)
                    p += (double)a[(s * N + pair / N) * C + k / C] * b[(s * N + pair % N) * C + k % C];
                want += p * w[k * C_OUT + c];
                size += fabs(p * w[k * C_OUT + c]);
            }
            if (!(fabs(got - want) <= allowed_share() * size))
                fail_msg("pair %d, channel %d: %.9g, expected %.9g", pair, c, got, want);
        }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_attention_far_logits, drop),
        cmocka_unit_test(test_attention_far_logits_bf16),
        cmocka_unit_test_teardown(test_linear_magnitudes, drop),
        cmocka_unit_test_teardown(test_attention_magnitudes, drop),
        cmocka_unit_test_teardown(test_pair_bias_range, drop),
        cmocka_unit_test_teardown(test_contract_magnitudes, drop),
        cmocka_unit_test_teardown(test_outer_product_mean_magnitudes, drop),
    };
    return cmocka_run_group_tests_name("magnitudes", tests, make_backend, drop_backend);
}
