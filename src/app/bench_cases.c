/* SPDX-License-Identifier: Apache-2.0 */
#include "app/bench_cases.h"

struct list {
    struct ff_bench_case *items;
    int count;
};

static void add(struct list *l, const char *where, struct ff_op_case call)
{
    FF_ASSERT(l->count < FF_BENCH_MAX);
    call.flags |= FF_CASE_UNMASKED;
    l->items[l->count++] = (struct ff_bench_case){.where = where, .call = call};
}
#define ADD(where, name, ...) add(l, where, (struct ff_op_case){.op = FF_OP_##name, __VA_ARGS__})

/* --- layers ------------------------------------------------------------------------------------------------------- */

/* Updates of a pair [n, n, c]; the templates' and the evoformer's differ in their sizes alone. */
static void add_pair_layers(struct list *l, const char *const where[5], const struct ff_stack_config *s, int64_t n,
                            int64_t c)
{
    const struct ff_attention_config *a = &s->triangle_attention;
    int64_t hd = (int64_t)a->num_head * a->head_dim, c_i = s->triangle_multiplication_channel;
    ADD(where[0], triangle_project, .i = n, .k = n, .c = c, .n = c_i);
    ADD(where[0], triangle_contract, .n = c_i, .i = n, .j = n, .k = n);
    ADD(where[0], triangle_output, .i = n, .j = n, .c = c, .n = c_i);
    ADD(where[1], triangle_project, .i = n, .k = n, .c = c, .n = c_i, .flags = FF_CASE_TRANSPOSED);
    ADD(where[2], pair_bias, .i = n, .j = n, .c = c, .h = a->num_head);
    ADD(where[2], linear, .i = n, .j = n, .c = c, .n = 4 * hd, .flags = FF_CASE_NORM | FF_CASE_TO_ATTENTION);
    ADD(where[2], attention, .i = n, .j = n, .h = a->num_head, .d = a->head_dim, .flags = FF_CASE_BIAS);
    ADD(where[2], linear, .i = n, .j = n, .c = hd, .n = c,
        .flags = FF_CASE_BIAS | FF_CASE_ACCUMULATE | FF_CASE_OF_ATTENTION);
    ADD(where[3], attention, .i = n, .j = n, .h = a->num_head, .d = a->head_dim,
        .flags = FF_CASE_BIAS | FF_CASE_TRANSPOSED);
    ADD(where[4], transition, .i = n, .j = n, .c = c, .n = c * s->pair_transition_factor);
}

static void add_outer_product(struct list *l, const char *where, const struct ff_stack_config *s, int64_t n_res,
                              int64_t n_seq, int64_t c, int64_t c_z)
{
    ADD(where, linear, .i = n_seq, .j = n_res, .c = c, .n = s->num_outer_channel, .k = s->num_outer_channel,
        .flags = FF_CASE_NORM | FF_CASE_BIAS | FF_CASE_MASK | FF_CASE_MORE);
    ADD(where, outer_product_mean, .s = n_seq, .i = n_res, .j = n_res, .n = s->num_outer_channel, .c = c_z);
}

static void add_evoformer(struct list *l, const struct ff_model_config *c, int64_t n_res, int64_t n_seq)
{
    const struct ff_stack_config *s = &c->evoformer;
    int64_t c_m = c->msa_channel, c_z = c->pair_channel;
    const struct ff_attention_config *row = &s->msa_row_attention, *col = &s->msa_column_attention;
    int64_t hd = (int64_t)row->num_head * row->head_dim;
    ADD("row attention", pair_bias, .i = n_res, .j = n_res, .c = c_z, .h = row->num_head);
    ADD("row attention", linear, .i = n_seq, .j = n_res, .c = c_m, .n = 4 * hd,
        .flags = FF_CASE_NORM | FF_CASE_BIAS | FF_CASE_TO_ATTENTION);
    ADD("row attention", attention, .i = n_seq, .j = n_res, .h = row->num_head, .d = row->head_dim,
        .flags = FF_CASE_BIAS);
    ADD("row attention", linear, .i = n_seq, .j = n_res, .c = hd, .n = c_m,
        .flags = FF_CASE_BIAS | FF_CASE_ACCUMULATE | FF_CASE_OF_ATTENTION);
    ADD("column attention", attention, .i = n_res, .j = n_seq, .h = col->num_head, .d = col->head_dim,
        .flags = FF_CASE_TRANSPOSED);
    ADD("msa transition", transition, .i = n_seq, .j = n_res, .c = c_m, .n = c_m * s->msa_transition_factor);
    add_outer_product(l, "outer product", s, n_res, n_seq, c_m, c_z);
    add_pair_layers(l,
                    (const char *const[]){"triangle outgoing", "triangle incoming", "triangle starting",
                                          "triangle ending", "pair transition"},
                    s, n_res, c_z);
}

static void add_extra_msa(struct list *l, const struct ff_model_config *c, int64_t n_res, int64_t n_extra)
{
    const struct ff_stack_config *s = &c->extra_msa_stack;
    int64_t c_e = c->extra_msa_channel;
    const struct ff_attention_config *row = &s->msa_row_attention, *col = &s->msa_column_attention;
    int64_t hd = (int64_t)row->num_head * row->head_dim;
    ADD("extra embedding", extra_msa_embed, .s = n_extra, .i = n_res, .c = c_e);
    ADD("extra row attention", linear, .i = n_extra, .j = n_res, .c = c_e, .n = 4 * hd,
        .flags = FF_CASE_NORM | FF_CASE_BIAS | FF_CASE_TO_ATTENTION);
    ADD("extra row attention", attention, .i = n_extra, .j = n_res, .h = row->num_head, .d = row->head_dim,
        .flags = FF_CASE_BIAS);
    ADD("extra column attention", global_attention, .s = n_extra, .i = n_res, .c = c_e, .h = col->num_head,
        .d = col->head_dim);
    ADD("extra transition", transition, .i = n_extra, .j = n_res, .c = c_e, .n = c_e * s->msa_transition_factor);
    add_outer_product(l, "extra outer product", s, n_res, n_extra, c_e, c->pair_channel);
}

static void add_templates(struct list *l, const struct ff_model_config *c, int64_t n_res, int64_t n_template)
{
    const struct ff_template_config *t = &c->templates;
    ADD("template embedding", template_pair_embed, .i = n_res, .j = n_res, .c = t->num_channel, .n = t->dgram_num_bins,
        .flags = FF_CASE_UNIT | FF_CASE_MASK_ALL);
    add_pair_layers(l,
                    (const char *const[]){"template outgoing", "template incoming", "template starting",
                                          "template ending", "template transition"},
                    &t->stack, n_res, t->num_channel);
    if (!c->multimer)
        ADD("template attention", template_attention, .t = n_template, .i = n_res, .j = n_res, .c = c->pair_channel,
            .n = t->num_channel, .h = t->attention.num_head, .d = t->attention.head_dim);
}

static void add_rest(struct list *l, const struct ff_model_config *c, int64_t n_res, int64_t n_seq)
{
    const struct ff_structure_config *s = &c->structure;
    int64_t c_z = c->pair_channel, c_m = c->msa_channel, c_s = s->num_channel;
    int64_t point_out = s->num_head * (s->num_scalar_v + 4 * s->num_point_v + c_z);
    ADD("input", linear, .i = n_seq, .j = n_res, .c = c->msa_feat_dim, .n = c_m, .flags = FF_CASE_BIAS);
    ADD("input", outer_sum, .i = n_res, .j = n_res, .c = c_z, .flags = FF_CASE_LEFT);
    ADD("input", outer_sum, .i = n_seq, .j = n_res, .c = c_m);
    ADD("input", relative_position, .i = n_res, .j = n_res, .c = c_z, .flags = c->multimer ? FF_CASE_CHAINS : 0);
    ADD("recycling", distance_embed, .i = n_res, .j = n_res, .c = c_z, .n = c->prev_pos_num_bins);
    ADD("recycling", layer_norm, .i = n_res, .j = n_res, .c = c_z, .flags = FF_CASE_ACCUMULATE);
    ADD("recycling", pseudo_beta, .i = n_res);
    ADD("ensembles", scale_add, .i = n_res, .j = n_res, .c = c_z, .flags = FF_CASE_X | FF_CASE_ACCUMULATE);
    ADD("copies", copy, .i = n_seq, .j = n_res, .c = c_m);
    ADD("copies", fill, .i = n_res, .j = n_res, .c = c_z);
    ADD("structure", point_attention, .i = n_res, .j = n_res, .c = c_z, .h = s->num_head, .d = s->num_scalar_qk,
        .v = s->num_scalar_v, .p = s->num_point_qk);
    ADD("structure", linear, .i = n_res, .c = point_out, .n = c_s, .flags = FF_CASE_BIAS | FF_CASE_ACCUMULATE);
    ADD("structure", linear, .i = n_res, .c = c_s, .n = c_s, .flags = FF_CASE_BIAS | FF_CASE_RELU);
    ADD("structure", rigid_update, .i = n_res);
    ADD("structure", atoms_from_angles, .i = n_res, .flags = FF_CASE_MORE);
    ADD("distogram", symmetric_linear, .i = n_res, .j = n_res, .c = c_z, .n = c->heads.distogram_num_bins);
    ADD("aligned error", aligned_error, .i = n_res, .j = n_res, .c = c_z, .n = c->heads.pae_num_bins,
        .flags = FF_CASE_MORE);
    ADD("recycling", distance_change, .i = n_res);
}

int ff_bench_cases(const struct ff_model_config *c, int64_t n_res, int64_t n_seq, int64_t n_extra, int64_t n_template,
                   struct ff_bench_case *ret)
{
    struct list l = {.items = ret};
    add_evoformer(&l, c, n_res, n_seq);
    if (n_extra > 0)
        add_extra_msa(&l, c, n_res, n_extra);
    if (c->templates.enabled && n_template > 0)
        add_templates(&l, c, n_res, n_template);
    add_rest(&l, c, n_res, n_seq);
    return l.count;
}
