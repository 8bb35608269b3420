/* SPDX-License-Identifier: Apache-2.0
 * Places where an op could differ from the published program although random operands agree: borders of distance bins,
 * a residue seen from itself, masks that leave nothing, indices outside of every table.
 */
#include "op/operands.h"

/* n by n, ones on the diagonal: what is added shows which row of the weights it was. */
static float *identity(int n)
{
    float *w = ff_xcalloc((size_t)(n * n), sizeof(float));
    for (int i = 0; i < n; i++)
        w[i * n + i] = 1.0f;
    return w;
}

/* Number of the only 1 in x[n], -1 if all are 0; fails on anything else. */
static int hot(const float *x, int n)
{
    int at = -1;
    for (int i = 0; i < n; i++) {
        if (x[i] == 0.0f)
            continue;
        assert_true(x[i] == 1.0f && at < 0);
        at = i;
    }
    return at;
}

/* Rows of a larger array go up in pieces of 8 MB on a GPU, which end within a row and at the end of one. */
static void test_upload_rows(void **state)
{
    (void)state;
    enum { ROWS = 5, ROW = 4 << 20, MORE = 3 };  /* bytes */
    for (int64_t row = ROW - MORE; row <= ROW + MORE; row += MORE) {
        const size_t pitch = ROW + 2 * MORE;
        unsigned char *host = ff_xmalloc(ROWS * pitch), *back = ff_xmalloc((size_t)(ROWS * row));
        for (size_t i = 0; i < ROWS * pitch; i++)
            host[i] = (unsigned char)(i * 2654435761u >> 13);
        void *p;
        assert_ok(backend->alloc(backend, (size_t)(ROWS * row), &p));
        struct ff_tensor t = ff_tensor_make(p, FF_U8, FF_SHAPE(ROWS, row));
        backend->upload_rows(backend, &t, host + MORE, pitch);
        backend->download(backend, back, &t);
        for (int64_t i = 0; i < ROWS; i++)
            assert_memory_equal(back + i * row, host + MORE + (size_t)i * pitch, (size_t)row);
        backend->release(backend, p);
        free(host);
        free(back);
    }
}

/* Bins of 2 to 10 by 2, squared: all exact. A border belongs to no bin, nor what is below the first or beyond 1e4. */
static const float distances[] = {0.0f, 1.999f, 2.0f, 2.001f, 3.999f, 4.0f, 4.001f, 8.0f, 9.999f, 10.0f, 10.001f,
                                  9999.0f, 10000.0f, 20000.0f, NAN};
static const int expected_bins[] = {-1, -1, -1, 0, 0, -1, 1, -1, 3, -1, 4, 4, -1, -1, -1};
enum { N_DISTANCE = sizeof distances / sizeof distances[0], N_BIN = 5 };

static void test_distance_borders(void **state)
{
    (void)state;
    float origin[3] = {0}, x[N_DISTANCE * 3] = {0}, out[N_DISTANCE * N_BIN], *w = identity(N_BIN);
    for (int i = 0; i < N_DISTANCE; i++)
        x[3 * i + i % 3] = i % 2 ? distances[i] : -distances[i];
    struct ff_tensor z = FLOATS(NULL, 1, N_DISTANCE, N_BIN);
    FF_OP(backend, distance_embed, .out = z, .x_i = FLOATS(origin, 1, 3), .x_j = FLOATS(x, N_DISTANCE, 3),
          .w = FLOATS(w, N_BIN, N_BIN), .b = FLOATS(NULL, N_BIN), .min_bin = 2.0f, .max_bin = 10.0f);
    backend->download(backend, out, &z);
    for (int i = 0; i < N_DISTANCE; i++)
        assert_int_equal(hot(out + i * N_BIN, N_BIN), expected_bins[i]);
    free(w);
}

/* The pair features of residues with pseudo betas x and frames; weights that show the distance bin and the direction:
 * out[i, j] = [bins | x, y, z of the unit vector]. */
enum { C_T = N_BIN + 3 };

static void template_features(float *out, int n, const float *x, const float *frames, const int32_t *aatype, bool clamp)
{
    float w_dgram[N_BIN * C_T] = {0}, w_unit[3 * C_T] = {0};
    float *ones = ff_xcalloc((size_t)n, sizeof(float));
    for (int i = 0; i < N_BIN; i++)
        w_dgram[i * C_T + i] = 1.0f;
    for (int d = 0; d < 3; d++)
        w_unit[d * C_T + N_BIN + d] = 1.0f;
    for (int i = 0; i < n; i++)
        ones[i] = 1.0f;
    struct ff_tensor act = FLOATS(NULL, n, n, C_T), beta = FLOATS(x, n, 3), mask = FLOATS(ones, n);
    struct ff_tensor frame = FLOATS(frames, n, 12), type = INTS(aatype, n), w_type = FLOATS(NULL, 22, C_T);
    FF_OP(backend, template_pair_embed, .out = act, .aatype_i = type, .aatype_j = type, .pseudo_beta_i = beta,
          .pseudo_beta_j = beta, .pseudo_beta_mask_i = mask, .pseudo_beta_mask_j = mask, .frame_i = frame,
          .frame_j = frame, .backbone_mask_i = mask, .backbone_mask_j = mask, .w_dgram = FLOATS(w_dgram, N_BIN, C_T),
          .w_pb_mask = FLOATS(NULL, C_T), .w_aatype_j = w_type, .w_aatype_i = w_type,
          .w_unit = FLOATS(w_unit, 3, C_T), .w_bb_mask = FLOATS(NULL, C_T), .b = FLOATS(NULL, C_T), .min_bin = 2.0f,
          .max_bin = 10.0f, .mask_all = !clamp, .clamp_norm = clamp);
    backend->download(backend, out, &act);
    free(ones);
}

static void test_template_borders(void **state)
{
    (void)state;
    float x[N_DISTANCE * 3] = {0}, frames[N_DISTANCE * 12] = {0};
    int32_t types[N_DISTANCE];
    float *out = ff_xcalloc(N_DISTANCE * N_DISTANCE * C_T, sizeof(float));
    for (int i = 0; i < N_DISTANCE; i++) {
        x[3 * i] = distances[i];
        types[i] = i == 0 ? -1 : i == 1 ? 22 : 5;        /* no letter: a row of zeros, not memory beyond the table */
    }
    template_features(out, N_DISTANCE, x, frames, types, false);
    for (int i = 0; i < N_DISTANCE; i++)                  /* the first residue is the origin */
        assert_int_equal(hot(out + i * C_T, N_BIN), expected_bins[i]);
    free(out);
}

/* A frame of a rotation by no special angles. */
static void turned_frame(float *f, float x, float y, float z)
{
    const double a = 0.7, b = -1.1;
    const double r[9] = {cos(b), 0.0, sin(b), sin(a) * sin(b), cos(a), -sin(a) * cos(b), -cos(a) * sin(b), sin(a),
                         cos(a) * cos(b)};
    for (int i = 0; i < 9; i++)
        f[i] = (float)r[i];
    f[9] = x;
    f[10] = y;
    f[11] = z;
}

static void test_unit_vector(void **state)
{
    (void)state;
    enum { N = 16 };
    float frames[N * 12], x[N * 3] = {0}, out[N * N * C_T];
    int32_t types[N] = {0};
    int left_overs = 0;
    turned_frame(frames, 0.0f, 0.0f, 0.0f);
    for (int i = 1; i < N; i++)
        turned_frame(frames + 12 * i, 30.0f * wave(i), 30.0f * wave(2 * i), 30.0f * wave(i + 9));
    for (int clamp = 0; clamp < 2; clamp++) {
        template_features(out, N, x, frames, types, clamp);
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                const float *f = frames + 12 * i, *t = frames + 12 * j + 9, *u = out + (i * N + j) * C_T + N_BIN;
                double want[3], length2 = 0;
                for (int d = 0; d < 3; d++) {
                    want[d] = 0;
                    for (int e = 0; e < 3; e++)
                        want[d] += f[3 * e + d] * ((double)t[e] - f[9 + e]);
                    /* A residue seen from itself: what rounding leaves, as in the published program for complexes. */
                    if (clamp && i == j)
                        want[d] = fmaf(f[6 + d], t[2], fmaf(f[d], t[0], f[3 + d] * t[1])) -
                                  fmaf(f[6 + d], t[2], fmaf(f[3 + d], t[1], f[d] * t[0]));
                    left_overs += i == j && want[d] != 0.0;
                    length2 += want[d] * want[d];
                }
                double length = sqrt(clamp ? fmax(length2, 1e-12) : length2 + 1e-6);
                for (int d = 0; d < 3; d++)
                    assert_true(fabs(u[d] - want[d] / length) <= 2e-6);
            }
        }
    }
    assert_true(left_overs > 0);
}

static void test_relative_position_ends(void **state)
{
    (void)state;
    enum { N = 6, K = 2, C = 2 * K + 1 };
    const int32_t index[N] = {INT32_MIN, -3, 0, 1, 2, INT32_MAX};
    float out[N * N * C], *w = identity(C);
    struct ff_tensor z = FLOATS(NULL, N, N, C), i_tensor = INTS(index, N);
    FF_OP(backend, relative_position, .out = z, .index_i = i_tensor, .index_j = i_tensor, .w = FLOATS(w, C, C),
          .b = FLOATS(NULL, C), .max_relative_idx = K);
    backend->download(backend, out, &z);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int64_t bin = (int64_t)index[i] - index[j] + K;
            bin = bin < 0 ? 0 : bin > 2 * K ? 2 * K : bin;
            assert_int_equal(hot(out + (i * N + j) * C, C), bin);
        }
    free(w);
}

static void test_msa_letters(void **state)
{
    (void)state;
    enum { N = 5, C = 25 };
    const int32_t letters[N] = {0, 22, 23, -1, 1000};
    const float one[N] = {0, 0, 1, 0, 0};
    float out[N * C], *w = identity(C);
    struct ff_tensor m = FLOATS(NULL, 1, N, C);
    FF_OP(backend, extra_msa_embed, .out = m, .msa = INTS(letters, 1, N), .has_deletion = FLOATS(one, 1, N),
          .deletion_value = FLOATS(NULL, 1, N), .w = FLOATS(w, C, C), .b = FLOATS(NULL, C));
    backend->download(backend, out, &m);
    const int want[N] = {0, 22, 23, -1, -1};              /* 23 is has_deletion, not the letter */
    for (int i = 0; i < N; i++)
        assert_int_equal(hot(out + i * C, C), want[i]);
    free(w);
}

/* Rows in three places, of which the first lies between the others in memory, as when they are all in one. */
static void test_linear_places(void **state)
{
    (void)state;
    enum { ROWS = 300, C = 64, FROM = 90, TO = 210 };
    enum ff_dtype type = backend->mark != NULL ? FF_BF16 : FF_F32;       /* what the fused kernels take */
    float *x = ff_xmalloc(ROWS * C * sizeof(float)), w[C * C];
    for (int i = 0; i < ROWS * C; i++)
        x[i] = wave(i);
    for (int i = 0; i < C * C; i++)
        w[i] = 0.2f * wave(3 * i);
    struct ff_tensor wide = FLOATS(x, ROWS, C), wide_w = FLOATS(w, C, C);
    struct ff_tensor in = put(type, NULL, FF_SHAPE(ROWS, C)), weight = put(type, NULL, FF_SHAPE(C, C)), out[2];
    FF_OP(backend, copy, .out = in, .x = wide);
    FF_OP(backend, copy, .out = weight, .x = wide_w);
    void *got[2];
    for (int i = 0; i < 2; i++) {
        struct ff_tensor *o = &out[i];
        *o = put(type, NULL, FF_SHAPE(ROWS, C));
        FF_OP(backend, copy, .out = *o, .x = wide);
        struct ff_linear_args a = {.out = *o, .x = in, .w = weight, .accumulate = true};
        const int part[3][2] = {{FROM, TO}, {0, FROM}, {TO, ROWS}};
        for (int k = 0; k < 3 && i == 1; k++) {
            struct ff_linear_rows rows = {.out = ff_tensor_slice(*o, 0, part[k][0], part[k][1] - part[k][0]),
                                          .x = ff_tensor_slice(in, 0, part[k][0], part[k][1] - part[k][0])};
            if (k > 0)
                a.more[k - 1] = rows;
            else
                a.out = rows.out, a.x = rows.x;
        }
        backend->ops->linear(backend, &a);
        got[i] = ff_xmalloc(ff_tensor_bytes(o));
        backend->download(backend, got[i], o);
    }
    assert_memory_equal(got[0], got[1], ff_tensor_bytes(&out[0]));
    free(got[0]);
    free(got[1]);
    free(x);
}

static void test_outer_product_mean_of_nothing(void **state)
{
    (void)state;
    enum { S = 3, N = 5, C = 2, C_Z = 4 };
    const float bias[C_Z] = {1, 2, -3, 0};
    float out[N * N * C_Z];
    struct ff_tensor z = FLOATS(NULL, N, N, C_Z), a = FLOATS(NULL, S, N, C), mask = FLOATS(NULL, S, N);
    FF_OP(backend, outer_product_mean, .out = z, .a = a, .b = a, .mask_a = mask, .mask_b = mask,
          .w = FLOATS(NULL, C * C, C_Z), .bias = FLOATS(bias, C_Z));
    backend->download(backend, out, &z);
    for (int i = 0; i < N * N * C_Z; i++)
        assert_float_equal(out[i], bias[i % C_Z] / 1e-3f, 1e-3f);
}

/* --- point attention --- */

enum { N_POINT = 150, H = 2, QK = 3, V = 2, P = 1, P_V = 2, C_Z = 4, WIDTH = H * (V + 4 * P_V + C_Z) };

/* out [N_POINT, WIDTH] for one mask of queries and one of keys; the last residue's values are `last`, the pair's
 * means `mean` or close to it. */
static void attend(float *out, const float *mask_i, const float *mask_j, float last, float mean)
{
    enum { KV = H * (QK + V), KV_POINT = 3 * H * (P + P_V) };
    static float q[N_POINT * H * QK], kv[N_POINT * KV], q_point[N_POINT * 3 * H * P], kv_point[N_POINT * KV_POINT];
    static float frames[N_POINT * 12], z[N_POINT * N_POINT * C_Z], w2d[C_Z * H];
    const float scale[C_Z] = {1, 1, 1, 1};
    for (int i = 0; i < N_POINT * KV_POINT; i++)
        kv_point[i] = wave(i + 1);
    for (int i = 0; i < N_POINT * KV; i++)
        kv[i] = i >= (N_POINT - 1) * KV ? last : wave(3 * i);
    for (int i = 0; i < N_POINT * H * QK; i++)
        q[i] = q_point[i] = wave(i + 2);
    for (int i = 0; i < N_POINT * N_POINT * C_Z; i++)
        z[i] = roundf(64.0f * wave(5 * i)) / 64.0f + mean;    /* without rounding */
    for (int i = 0; i < C_Z * H; i++)
        w2d[i] = wave(7 * i);
    for (int i = 0; i < N_POINT; i++)
        turned_frame(frames + 12 * i, wave(i), wave(2 * i), wave(i + 5));
    struct ff_tensor t = FLOATS(NULL, N_POINT, WIDTH), frame = FLOATS(frames, N_POINT, 12);
    FF_OP(backend, point_attention, .out = t, .q = FLOATS(q, N_POINT, H * QK), .kv = FLOATS(kv, N_POINT, KV),
          .q_point = FLOATS(q_point, N_POINT, 3 * H * P), .kv_point = FLOATS(kv_point, N_POINT, KV_POINT),
          .frame_i = frame, .frame_j = frame, .mask_i = FLOATS(mask_i, N_POINT), .mask_j = FLOATS(mask_j, N_POINT),
          .z = FLOATS(z, N_POINT, N_POINT, C_Z), .norm = {FLOATS(scale, C_Z), FLOATS(NULL, C_Z)},
          .w2d = FLOATS(w2d, C_Z, H), .b2d = FLOATS(NULL, H), .point_weight = FLOATS(NULL, H), .n_head = H, .n_qk = QK,
          .n_v = V, .n_point_qk = P, .n_point_v = P_V);
    backend->download(backend, out, &t);
    (void)drop(NULL);
}

static void assert_rows_equal(const float *a, const float *b, int from, int to)
{
    for (int i = from * WIDTH; i < to * WIDTH; i++)
        assert_true(fabsf(a[i] - b[i]) <= 2e-6f);
}

static void test_point_attention_masks(void **state)
{
    (void)state;
    static float all[N_POINT * WIDTH], other[N_POINT * WIDTH], ones[N_POINT], zeros[N_POINT], mask[N_POINT];
    for (int i = 0; i < N_POINT; i++)
        ones[i] = mask[i] = 1.0f;
    attend(all, ones, ones, 0.25f, 0.0f);
    /* Where no key counts, or the query does not, every key counts alike. */
    attend(other, zeros, ones, 0.25f, 0.0f);
    assert_rows_equal(all, other, 0, N_POINT);
    attend(other, ones, zeros, 0.25f, 0.0f);
    assert_rows_equal(all, other, 0, N_POINT);
    /* A masked key changes nothing, whatever it holds. */
    mask[N_POINT - 1] = 0.0f;
    attend(all, mask, mask, 0.25f, 0.0f);
    attend(other, mask, mask, 100.0f, 0.0f);
    assert_rows_equal(all, other, 0, N_POINT - 1);
    /* The first 128 keys masked: a whole tile without weight. */
    for (int i = 0; i < 128; i++)
        mask[i] = 0.0f;
    mask[N_POINT - 2] = 0.0f;
    attend(other, ones, mask, 0.25f, 0.0f);
    for (int i = 0; i < N_POINT * WIDTH; i++)
        assert_true(isfinite(other[i]));
}

/* Norming takes out what all channels of a pair have in common, however large. */
static void test_point_attention_far_means(void **state)
{
    (void)state;
    static float all[N_POINT * WIDTH], other[N_POINT * WIDTH], ones[N_POINT];
    for (int i = 0; i < N_POINT; i++)
        ones[i] = 1.0f;
    attend(all, ones, ones, 0.25f, 0.0f);
    attend(other, ones, ones, 0.25f, 4096.0f);
    assert_rows_equal(all, other, 0, N_POINT);
}

/* Angles of length 0 turn into the rotation matrix of zeros that the published normalisation makes of them. */
static void test_angles_of_length_zero(void **state)
{
    (void)state;
    enum { TYPES = 21 };
    static float frames[TYPES * 8 * 12], position[TYPES * 14 * 3], exists[TYPES * 37];
    static int32_t group[TYPES * 14], atom14[TYPES * 37];
    float backbone[12] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5f, 0, 0}, out[37 * 3];
    const int32_t type = 3;
    for (int g = 0; g < TYPES * 8; g++)
        for (int d = 0; d < 3; d++)
            frames[g * 12 + 4 * d] = 1.0f;
    for (int k = 0; k < TYPES * 14; k++) {
        group[k] = k % 14 == 0 ? 0 : 7;                   /* chi4, the end of the chain */
        for (int d = 0; d < 3; d++)
            position[3 * k + d] = (float)(d + 1);
    }
    for (int k = 0; k < TYPES * 37; k++) {
        atom14[k] = k % 37 == 0 ? 0 : 1;
        exists[k] = k % 37 < 2 ? 1.0f : 0.0f;
    }
    struct ff_tensor atoms = FLOATS(NULL, 1, 37, 3);
    FF_OP(backend, atoms_from_angles, .out = atoms, .frame = FLOATS(backbone, 1, 12), .angles = FLOATS(NULL, 1, 14),
          .aatype = INTS(&type, 1), .table_frame = FLOATS(frames, TYPES, 8, 12), .table_group = INTS(group, TYPES, 14),
          .table_position = FLOATS(position, TYPES, 14, 3), .table_atom14 = INTS(atom14, TYPES, 37),
          .table_exists = FLOATS(exists, TYPES, 37), .scale = 10.0f);
    backend->download(backend, out, &atoms);
    const float want[9] = {6, 2, 3, 6, 0, 0, 0, 0, 0};
    for (int i = 0; i < 9; i++)
        assert_float_equal(out[i], want[i], 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_upload_rows, drop),
        cmocka_unit_test_teardown(test_distance_borders, drop),
        cmocka_unit_test_teardown(test_template_borders, drop),
        cmocka_unit_test_teardown(test_unit_vector, drop),
        cmocka_unit_test_teardown(test_relative_position_ends, drop),
        cmocka_unit_test_teardown(test_msa_letters, drop),
        cmocka_unit_test_teardown(test_linear_places, drop),
        cmocka_unit_test_teardown(test_outer_product_mean_of_nothing, drop),
        cmocka_unit_test_teardown(test_point_attention_masks, drop),
        cmocka_unit_test_teardown(test_point_attention_far_means, drop),
        cmocka_unit_test_teardown(test_angles_of_length_zero, drop),
    };
    return cmocka_run_group_tests_name("edges", tests, make_backend, drop_backend);
}
