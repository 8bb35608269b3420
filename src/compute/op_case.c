/* SPDX-License-Identifier: Apache-2.0
 * The operands of every op: what compute/ops.h says about their shapes, as code.
 */
#include "base/alloc.h"
#include "compute/op_fill.h"

struct builder {
    struct ff_op_call *call;
    uint64_t seed;
    enum ff_dtype activation, attended;      /* in which such operands are exact */
};

enum kind { IN, OUT, INOUT };

/* Which type of the backend it has: none, but float32 or int32. */
enum type { FIXED, ACTIVATION, ATTENDED };

/* Where an operand may have strides: nowhere, on the leading axes, everywhere (masks). */
enum layout { PLAIN, ROWS, ANY };

enum { GUARD = 64, GAP = 8 };

/* Strides and storage of an operand as the case lays it out, and its contents. */
static struct ff_op_operand *operand(const struct builder *b, struct ff_tensor *t, enum kind kind, enum ff_fill how,
                                     enum layout layout, enum type type, int ndim, const int64_t *shape)
{
    struct ff_op_call *call = b->call;
    FF_ASSERT(call->n_operand < FF_OP_CALL_OPERANDS);
    *t = ff_tensor_make(NULL, ff_fill_is_int(how) ? FF_I32 : FF_F32, ndim, shape);
    bool gaps = layout != PLAIN && (call->what.flags & FF_CASE_GAPS);
    bool swapped = layout != PLAIN && (call->what.flags & FF_CASE_TRANSPOSED) && ndim >= (layout == ANY ? 2 : 3);
    int order[FF_TENSOR_MAX_DIM];
    for (int d = 0; d < ndim; d++)
        order[d] = d;
    if (swapped) {
        order[0] = 1;
        order[1] = 0;
    }
    int64_t stride = gaps && layout == ANY ? 2 : 1;
    for (int d = ndim - 1; d >= 0; d--) {
        t->stride[order[d]] = stride;
        stride *= shape[order[d]];
        if (gaps && d == ndim - 1)
            stride += GAP;
    }
    struct ff_op_operand *o = &call->operand[call->n_operand];
    *o = (struct ff_op_operand){
        .tensor = (size_t)((char *)t - (char *)&call->args),
        .written = kind != IN,
        .activation = type == ACTIVATION,
        .attended = type == ATTENDED,
        .dtype = t->dtype,
        .stored = t->dtype,
        .elements = (size_t)stride + 2 * GUARD,
        .first = GUARD,
    };
    uint32_t *storage = ff_fill_storage(o->elements);
    o->host = storage;
    t->data = storage + o->first;
    ff_fill_tensor(t, kind == OUT ? FF_FILL_NOTHING : how, call->what.op, call->n_operand, call->what.flags, b->seed,
                   type == ACTIVATION ? b->activation : type == ATTENDED ? b->attended : FF_F32);
    call->n_operand++;
    return o;
}

#define ACT(t, kind, how, ...) operand(b, &a->t, kind, FF_FILL_##how, ROWS, ACTIVATION, FF_SHAPE(__VA_ARGS__))
#define F32(t, kind, how, layout, ...) operand(b, &a->t, kind, FF_FILL_##how, layout, FIXED, FF_SHAPE(__VA_ARGS__))
#define ONE(t, how, ...) operand(b, &a->t, IN, FF_FILL_##how, PLAIN, FIXED, FF_SHAPE(__VA_ARGS__))
/* Weights of the trunk are stored as its activations are. */
#define TRUNK(t, ...) operand(b, &a->t, IN, FF_FILL_WEIGHT, PLAIN, ACTIVATION, FF_SHAPE(__VA_ARGS__))

static void norm_of(const struct builder *b, struct ff_norm *norm, int64_t c)
{
    operand(b, &norm->scale, IN, FF_FILL_SCALE, PLAIN, FIXED, FF_SHAPE(c));
    operand(b, &norm->offset, IN, FF_FILL_BIAS, PLAIN, FIXED, FF_SHAPE(c));
}

/* The leading axes of the general ops: [t, i, j] as far as they are not 0. */
static int leading(const struct ff_op_case *w, int64_t *shape)
{
    int n = 0;
    if (w->t > 0)
        shape[n++] = w->t;
    shape[n++] = w->i;
    if (w->j > 0)
        shape[n++] = w->j;
    return n;
}

/* [.., c] */
static void rows_in(const struct builder *b, struct ff_tensor *t, enum kind kind, enum type type, int64_t c)
{
    int64_t shape[4];
    int n = leading(&b->call->what, shape);
    shape[n] = c;
    operand(b, t, kind, FF_FILL_NORMAL, ROWS, type, n + 1, shape);
}
static void rows_of(const struct builder *b, struct ff_tensor *t, enum kind kind, int64_t c)
{
    rows_in(b, t, kind, ACTIVATION, c);
}

/* --- one function per op --- */

static void build_copy(const struct builder *b, struct ff_copy_args *a, const struct ff_op_case *w)
{
    int64_t shape[4];
    int n = leading(w, shape);
    shape[n] = w->c;
    enum ff_fill how = w->flags & FF_CASE_INT ? FF_FILL_MSA : FF_FILL_NORMAL;
    struct builder exact = *b;
    if (w->flags & (FF_CASE_BF16_IN | FF_CASE_BF16_OUT))
        exact.activation = FF_BF16;
    struct ff_op_operand *out = operand(b, &a->out, OUT, how, ROWS, ACTIVATION, n + 1, shape);
    struct ff_op_operand *x = operand(&exact, &a->x, IN, how, ROWS, ACTIVATION, n + 1, shape);
    out->activation = x->activation = false;
    if (w->flags & FF_CASE_BF16_OUT)
        out->stored = FF_BF16;
    if (w->flags & FF_CASE_BF16_IN)
        x->stored = FF_BF16;
}

static void build_fill(const struct builder *b, struct ff_fill_args *a, const struct ff_op_case *w)
{
    int64_t shape[4];
    int n = leading(w, shape);
    shape[n] = w->c;
    bool ints = w->flags & FF_CASE_INT;
    operand(b, &a->out, OUT, ints ? FF_FILL_MSA : FF_FILL_NORMAL, ROWS, ints ? FIXED : ACTIVATION, n + 1, shape);
    a->value = ints ? 7.0f : -0.75f;
}

static void build_scale_add(const struct builder *b, struct ff_scale_add_args *a, const struct ff_op_case *w)
{
    rows_of(b, &a->out, w->flags & FF_CASE_ACCUMULATE ? INOUT : OUT, w->c);
    if (w->flags & FF_CASE_X)
        rows_of(b, &a->x, IN, w->c);
    a->alpha = w->flags & FF_CASE_ACCUMULATE ? 0.625f : 0.0f;
    a->beta = 0.3f;
}

static void build_layer_norm(const struct builder *b, struct ff_layer_norm_args *a, const struct ff_op_case *w)
{
    bool in_place = w->flags & FF_CASE_IN_PLACE;
    a->accumulate = w->flags & FF_CASE_ACCUMULATE;
    if (!in_place)
        rows_of(b, &a->out, a->accumulate ? INOUT : OUT, w->c);
    rows_of(b, &a->x, in_place ? INOUT : IN, w->c);
    norm_of(b, &a->norm, w->c);
}

static void build_linear(const struct builder *b, struct ff_linear_args *a, const struct ff_op_case *w)
{
    a->relu_input = w->flags & FF_CASE_RELU_INPUT;
    a->relu = w->flags & FF_CASE_RELU;
    a->accumulate = w->flags & FF_CASE_ACCUMULATE;
    rows_in(b, &a->out, a->accumulate ? INOUT : OUT, w->flags & FF_CASE_TO_ATTENTION ? ATTENDED : ACTIVATION, w->n);
    rows_in(b, &a->x, IN, w->flags & FF_CASE_OF_ATTENTION ? ATTENDED : ACTIVATION, w->c);
    for (int i = 0; i < FF_LINEAR_PLACES - 1 && w->flags & FF_CASE_PLACES; i++) {
        struct ff_linear_rows *more = &a->more[i];
        int64_t rows = 7 + 90 * i;
        operand(b, &more->out, a->accumulate ? INOUT : OUT, FF_FILL_NORMAL, ROWS, ACTIVATION, FF_SHAPE(rows, w->n));
        operand(b, &more->x, IN, FF_FILL_NORMAL, ROWS, ACTIVATION, FF_SHAPE(rows, w->c));
    }
    if (w->flags & FF_CASE_NORM)
        norm_of(b, &a->norm, w->c);
    TRUNK(w, w->c, w->n);
    if (w->flags & FF_CASE_BIAS)
        ONE(b, BIAS, w->n);
    if (w->flags & FF_CASE_MASK) {
        int64_t shape[4];
        int n = leading(w, shape);
        operand(b, &a->mask, IN, FF_FILL_MASK, ANY, FIXED, n, shape);
    }
    if (w->flags & FF_CASE_MORE) {
        rows_of(b, &a->out2, a->accumulate ? INOUT : OUT, w->k);
        TRUNK(w2, w->c, w->k);
        ONE(b2, BIAS, w->k);
    }
}

static void build_pair_bias(const struct builder *b, struct ff_pair_bias_args *a, const struct ff_op_case *w)
{
    operand(b, &a->out, OUT, FF_FILL_NORMAL, PLAIN, ATTENDED, FF_SHAPE(w->h, w->i, w->j));
    ACT(x, IN, NORMAL, w->i, w->j, w->c);
    norm_of(b, &a->norm, w->c);
    TRUNK(w, w->c, w->h);
}

static void build_attention(const struct builder *b, struct ff_attention_args *a, const struct ff_op_case *w)
{
    operand(b, &a->out, OUT, FF_FILL_NORMAL, ROWS, ATTENDED, FF_SHAPE(w->i, w->j, w->h * w->d));
    operand(b, &a->qkvg, IN, FF_FILL_NORMAL, ROWS, ATTENDED, FF_SHAPE(w->i, w->j, 4 * w->h * w->d));
    F32(mask, IN, MASK, ANY, w->i, w->j);
    if (w->flags & FF_CASE_BIAS)
        operand(b, &a->bias, IN, FF_FILL_NORMAL, PLAIN, ATTENDED, FF_SHAPE(w->h, w->j, w->j));
    a->n_head = (int)w->h;
}

static void build_global_attention(const struct builder *b, struct ff_global_attention_args *a,
                                   const struct ff_op_case *w)
{
    int64_t hd = w->h * w->d;
    ACT(out, INOUT, NORMAL, w->s, w->i, w->c);
    F32(mask, IN, MASK, ANY, w->s, w->i);
    norm_of(b, &a->norm, w->c);
    TRUNK(q_w, w->c, hd);
    TRUNK(kv_w, w->c, 2 * w->d);
    TRUNK(gate_w, w->c, hd);
    ONE(gate_b, BIAS, hd);
    TRUNK(o_w, hd, w->c);
    ONE(o_b, BIAS, w->c);
    a->n_head = (int)w->h;
}

static void build_transition(const struct builder *b, struct ff_transition_args *a, const struct ff_op_case *w)
{
    rows_of(b, &a->out, INOUT, w->c);
    norm_of(b, &a->norm, w->c);
    TRUNK(w1, w->c, w->n);
    ONE(b1, BIAS, w->n);
    TRUNK(w2, w->n, w->c);
    ONE(b2, BIAS, w->c);
}

/* About a third of the channels, in the middle, may lie apart. */
static int64_t n_apart(const struct ff_op_case *w)
{
    return w->flags & FF_CASE_APART ? (w->n + 2) / 3 : 0;
}

static void apart_of(const struct builder *b, struct ff_planes *apart, enum kind kind, const struct ff_op_case *w,
                     int64_t n_column)
{
    if (!(w->flags & FF_CASE_APART))
        return;
    apart->from = w->n / 4;
    operand(b, &apart->t, kind, FF_FILL_NORMAL, ROWS, ACTIVATION, FF_SHAPE(n_apart(w), w->i, n_column));
}

static void build_triangle_project(const struct builder *b, struct ff_triangle_project_args *a,
                                   const struct ff_op_case *w)
{
    /* The first behind the others' first, the second behind that, and the last channels. */
    const bool places = w->flags & FF_CASE_PLACES;
    const int64_t second = places ? w->n / 5 : 0, last = places ? w->n / 8 : 0;
    operand(b, &a->out, OUT, FF_FILL_NORMAL, PLAIN, ACTIVATION,
            FF_SHAPE(w->n - n_apart(w) - second - last, w->i, w->k));
    apart_of(b, &a->apart[0], OUT, w, w->k);
    if (places) {
        a->apart[1].from = a->apart[0].from + n_apart(w);
        a->apart[2].from = w->n - last;
        operand(b, &a->apart[1].t, OUT, FF_FILL_NORMAL, ROWS, ACTIVATION, FF_SHAPE(second, w->i, w->k));
        operand(b, &a->apart[2].t, OUT, FF_FILL_NORMAL, ROWS, ACTIVATION, FF_SHAPE(last, w->i, w->k));
    }
    ACT(z, IN, NORMAL, w->i, w->k, w->c);
    F32(mask, IN, MASK, ANY, w->i, w->k);
    norm_of(b, &a->norm, w->c);
    TRUNK(w, w->c, w->n);
    ONE(b, BIAS, w->n);
    TRUNK(gate_w, w->c, w->n);
    ONE(gate_b, BIAS, w->n);
}

/* The rows have gaps or none; the channels stay outermost. */
static void build_triangle_contract(const struct builder *b, struct ff_triangle_contract_args *a,
                                    const struct ff_op_case *w)
{
    operand(b, &a->out, OUT, FF_FILL_NORMAL, PLAIN, ACTIVATION, FF_SHAPE(w->n, w->i, w->j));
    ACT(a, IN, NORMAL, w->n, w->i, w->k);
    ACT(b, IN, NORMAL, w->n, w->j, w->k);
}

static void build_triangle_output(const struct builder *b, struct ff_triangle_output_args *a,
                                  const struct ff_op_case *w)
{
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    operand(b, &a->x, IN, FF_FILL_NORMAL, PLAIN, ACTIVATION, FF_SHAPE(w->n - n_apart(w), w->i, w->j));
    apart_of(b, &a->apart, IN, w, w->j);
    norm_of(b, &a->center_norm, w->n);
    TRUNK(o_w, w->n, w->c);
    ONE(o_b, BIAS, w->c);
    norm_of(b, &a->norm, w->c);
    TRUNK(gate_w, w->c, w->c);
    ONE(gate_b, BIAS, w->c);
}

static void build_outer_product_mean(const struct builder *b, struct ff_outer_product_mean_args *a,
                                     const struct ff_op_case *w)
{
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    ACT(a, IN, NORMAL, w->s, w->i, w->n);
    ACT(b, IN, NORMAL, w->s, w->j, w->n);
    F32(mask_a, IN, MASK, ANY, w->s, w->i);
    F32(mask_b, IN, MASK, ANY, w->s, w->j);
    TRUNK(w, w->n * w->n, w->c);
    ONE(bias, BIAS, w->c);
}

static void build_outer_sum(const struct builder *b, struct ff_outer_sum_args *a, const struct ff_op_case *w)
{
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    if (w->flags & FF_CASE_LEFT)
        ACT(left, IN, NORMAL, w->i, w->c);
    ACT(right, IN, NORMAL, w->j, w->c);
}

static void build_relative_position(const struct builder *b, struct ff_relative_position_args *a,
                                    const struct ff_op_case *w)
{
    a->max_relative_idx = 32;
    a->max_relative_chain = 2;
    int64_t features = 2 * a->max_relative_idx + 1;
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    ONE(index_i, RESIDUE, w->i);
    ONE(index_j, RESIDUE, w->j);
    if (w->flags & FF_CASE_CHAINS) {
        ONE(asym_i, COPY, w->i);
        ONE(asym_j, COPY, w->j);
        ONE(entity_i, CHAIN, w->i);
        ONE(entity_j, CHAIN, w->j);
        ONE(sym_i, COPY, w->i);
        ONE(sym_j, COPY, w->j);
        features = 2 * a->max_relative_idx + 2 + 1 + 2 * a->max_relative_chain + 2;
    }
    ONE(w, WEIGHT, features, w->c);
    ONE(b, BIAS, w->c);
}

static void build_distance_embed(const struct builder *b, struct ff_distance_embed_args *a,
                                 const struct ff_op_case *w)
{
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    ONE(x_i, POSITION, w->i, 3);
    ONE(x_j, POSITION, w->j, 3);
    ONE(w, WEIGHT, w->n, w->c);
    ONE(b, BIAS, w->c);
    a->min_bin = 3.25f;
    a->max_bin = 20.75f;
}

static void build_extra_msa_embed(const struct builder *b, struct ff_extra_msa_embed_args *a,
                                  const struct ff_op_case *w)
{
    ACT(out, OUT, NORMAL, w->s, w->i, w->c);
    ONE(msa, MSA, w->s, w->i);
    ONE(has_deletion, MASK, w->s, w->i);
    ONE(deletion_value, NORMAL, w->s, w->i);
    ONE(w, WEIGHT, 25, w->c);
    ONE(b, BIAS, w->c);
}

static void build_template_pair_embed(const struct builder *b, struct ff_template_pair_embed_args *a,
                                      const struct ff_op_case *w)
{
    ACT(out, OUT, NORMAL, w->i, w->j, w->c);
    ONE(aatype_i, TOKEN, w->i);
    ONE(aatype_j, TOKEN, w->j);
    ONE(pseudo_beta_i, POSITION, w->i, 3);
    ONE(pseudo_beta_j, POSITION, w->j, 3);
    ONE(pseudo_beta_mask_i, MASK, w->i);
    ONE(pseudo_beta_mask_j, MASK, w->j);
    ONE(frame_i, FRAME, w->i, 12);
    ONE(frame_j, FRAME, w->j, 12);
    ONE(backbone_mask_i, MASK, w->i);
    ONE(backbone_mask_j, MASK, w->j);
    if (w->flags & FF_CASE_CHAINS) {
        ONE(asym_i, CHAIN, w->i);
        ONE(asym_j, CHAIN, w->j);
    }
    ONE(w_dgram, WEIGHT, w->n, w->c);
    ONE(w_pb_mask, BIAS, w->c);
    ONE(w_aatype_j, WEIGHT, 22, w->c);
    ONE(w_aatype_i, WEIGHT, 22, w->c);
    if (w->flags & FF_CASE_UNIT)
        ONE(w_unit, WEIGHT, 3, w->c);
    ONE(w_bb_mask, BIAS, w->c);
    ONE(b, BIAS, w->c);
    a->min_bin = 3.25f;
    a->max_bin = 50.75f;
    a->mask_all = w->flags & FF_CASE_MASK_ALL;
    a->clamp_norm = w->flags & FF_CASE_CLAMP;
}

static void build_template_attention(const struct builder *b, struct ff_template_attention_args *a,
                                     const struct ff_op_case *w)
{
    int64_t hd = w->h * w->d;
    ACT(out, INOUT, NORMAL, w->i, w->j, w->c);
    operand(b, &a->t, IN, FF_FILL_NORMAL, PLAIN, ACTIVATION, FF_SHAPE(w->t, w->i, w->j, w->n));
    ONE(mask, MASK, w->t);
    TRUNK(q_w, w->c, hd);
    TRUNK(k_w, w->n, hd);
    TRUNK(v_w, w->n, hd);
    TRUNK(o_w, hd, w->c);
    ONE(o_b, BIAS, w->c);
    a->n_head = (int)w->h;
}

static void build_point_attention(const struct builder *b, struct ff_point_attention_args *a,
                                  const struct ff_op_case *w)
{
    int64_t n_point_v = 2 * w->p;
    a->n_head = (int)w->h;
    a->n_qk = (int)w->d;
    a->n_v = (int)w->v;
    a->n_point_qk = (int)w->p;
    a->n_point_v = (int)n_point_v;
    F32(out, OUT, NORMAL, PLAIN, w->i, w->h * (w->v + 4 * n_point_v + w->c));
    ONE(q, NORMAL, w->i, w->h * w->d);
    ONE(kv, NORMAL, w->j, w->h * (w->d + w->v));
    ONE(q_point, NORMAL, w->i, 3 * w->h * w->p);
    ONE(kv_point, NORMAL, w->j, 3 * w->h * (w->p + n_point_v));
    ONE(frame_i, NEAR_FRAME, w->i, 12);
    ONE(frame_j, NEAR_FRAME, w->j, 12);
    ONE(mask_i, MASK, w->i);
    ONE(mask_j, MASK, w->j);
    ACT(z, IN, NORMAL, w->i, w->j, w->c);
    norm_of(b, &a->norm, w->c);
    ONE(w2d, WEIGHT, w->c, w->h);
    ONE(b2d, BIAS, w->h);
    ONE(point_weight, SCALE, w->h);
}

static void build_rigid_update(const struct builder *b, struct ff_rigid_update_args *a, const struct ff_op_case *w)
{
    F32(out, INOUT, FRAME, PLAIN, w->i, 12);
    F32(quat, INOUT, QUATERNION, PLAIN, w->i, 4);
    ONE(update, NORMAL, w->i, 6);
}

static void build_atoms_from_angles(const struct builder *b, struct ff_atoms_from_angles_args *a,
                                    const struct ff_op_case *w)
{
    F32(out, OUT, NORMAL, PLAIN, w->i, 37, 3);
    if (w->flags & FF_CASE_MORE)
        F32(atom14, OUT, NORMAL, PLAIN, w->i, 14, 3);
    ONE(frame, FRAME, w->i, 12);
    ONE(angles, NORMAL, w->i, 14);
    ONE(aatype, AATYPE, w->i);
    ONE(table_frame, FRAME, 21, 8, 12);
    ONE(table_group, GROUP, 21, 14);
    ONE(table_position, NORMAL, 21, 14, 3);
    ONE(table_atom14, ATOM, 21, 37);
    ONE(table_exists, MASK, 21, 37);
    a->scale = 1.5f;
}

static void build_pseudo_beta(const struct builder *b, struct ff_pseudo_beta_args *a, const struct ff_op_case *w)
{
    F32(out, OUT, POSITION, PLAIN, w->i, 3);
    ONE(atoms, POSITION, w->i, 37, 3);
    ONE(aatype, AATYPE, w->i);
}

static void build_symmetric_linear(const struct builder *b, struct ff_symmetric_linear_args *a,
                                   const struct ff_op_case *w)
{
    F32(out, OUT, NORMAL, PLAIN, w->i, w->j, w->n);
    ACT(z, IN, NORMAL, w->i, w->j, w->c);
    if (w->i != w->j)
        ACT(zt, IN, NORMAL, w->i, w->j, w->c);
    ONE(w, WEIGHT, w->c, w->n);
    ONE(b, BIAS, w->n);
}

static void build_aligned_error(const struct builder *b, struct ff_aligned_error_args *a, const struct ff_op_case *w)
{
    F32(out, OUT, NORMAL, PLAIN, w->i, w->j);
    if (w->flags & FF_CASE_MORE) {
        F32(tm, OUT, NORMAL, PLAIN, w->i, w->j);
        F32(logits, OUT, NORMAL, PLAIN, w->i, w->j, w->n);
    }
    ACT(z, IN, NORMAL, w->i, w->j, w->c);
    ONE(w, WEIGHT, w->c, w->n);
    ONE(b, BIAS, w->n);
    a->max_bin = 31.0f;
    a->d0 = 4.5f;
}

static void build_distance_change(const struct builder *b, struct ff_distance_change_args *a,
                                  const struct ff_op_case *w)
{
    F32(out, OUT, NORMAL, PLAIN, 1);
    ONE(a, POSITION, w->i, 37, 3);
    ONE(b, POSITION, w->i, 37, 3);
    ONE(mask, MASK, w->i);
}

/* --- all of them --- */

void ff_op_case_make_views(struct ff_op_call *call)
{
    const struct ff_op_case *w = &call->what;
    if (w->op == FF_OP_layer_norm && (w->flags & FF_CASE_IN_PLACE))
        call->args.layer_norm.out = call->args.layer_norm.x;
    if (w->op == FF_OP_symmetric_linear && w->i == w->j)
        call->args.symmetric_linear.zt = ff_tensor_transpose(call->args.symmetric_linear.z, 0, 1);
}

void ff_op_case_build(struct ff_op_call *call, uint64_t seed, const struct ff_backend *exact_in)
{
    struct builder b = {.call = call, .seed = seed, .activation = FF_F32, .attended = FF_F32};
    if (exact_in) {
        b.activation = exact_in->activation;
        b.attended = ff_backend_attended(exact_in);
    }
    switch (call->what.op) {
#define X(op)                                             \
    case FF_OP_##op:                                      \
        build_##op(&b, &call->args.op, &call->what);      \
        break;
        FF_OPS(X)
#undef X
    case FF_OP_COUNT:
        break;
    }
    ff_op_case_make_views(call);
}
