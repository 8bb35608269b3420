/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/cost.h"

/* Bytes of the tensors given, once each. */
static double bytes_of(int n, const struct ff_tensor *const *t)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)ff_tensor_bytes(t[i]);
    return sum;
}
#define BYTES(...) \
    bytes_of((int)(sizeof((const struct ff_tensor *[]){__VA_ARGS__}) / sizeof(struct ff_tensor *)), \
             (const struct ff_tensor *[]){__VA_ARGS__})

static struct ff_cost cost(double flops, double functions, double bytes)
{
    return (struct ff_cost){.flops = flops, .functions = functions, .bytes = bytes, .calls = 1};
}

enum { SIGMOID = 2 };                /* functions */

/* Rows of [.., c]. */
static double rows(const struct ff_tensor *t)
{
    double n = 1;
    for (int d = 0; d < t->ndim - 1; d++)
        n *= (double)t->shape[d];
    return n;
}

static double count(const struct ff_tensor *t)
{
    return (double)ff_tensor_count(t);
}

/* Numbers of x that are normalised. */
static double normed(const struct ff_tensor *x, const struct ff_norm *norm)
{
    return ff_tensor_present(&norm->scale) ? count(x) : 0;
}

/* Memory comes in pieces of 32 bytes at least: what single points [n, 3] of larger rows take. */
static double scattered_points(double n)
{
    return 32 * n;
}

/* --- general --- */

struct ff_cost ff_cost_copy(const struct ff_copy_args *a)
{
    return cost(0, 0, BYTES(&a->out, &a->x));
}

struct ff_cost ff_cost_fill(const struct ff_fill_args *a)
{
    return cost(0, 0, BYTES(&a->out));
}

struct ff_cost ff_cost_scale_add(const struct ff_scale_add_args *a)
{
    double read = a->alpha != 0.0f ? BYTES(&a->out) : 0;
    return cost(0, 0, read + BYTES(&a->out, &a->x));
}

struct ff_cost ff_cost_layer_norm(const struct ff_layer_norm_args *a)
{
    double read = a->accumulate && a->out.data != a->x.data ? BYTES(&a->out) : 0;
    return cost(0, count(&a->x), read + BYTES(&a->out, &a->x, &a->norm.scale, &a->norm.offset));
}

struct ff_cost ff_cost_linear(const struct ff_linear_args *a)
{
    double weights = BYTES(&a->norm.scale, &a->norm.offset, &a->w, &a->b, &a->w2, &a->b2);
    struct ff_cost sum = cost(0, 0, weights + BYTES(&a->mask));
    struct ff_linear_args place[FF_LINEAR_PLACES];
    int n = ff_linear_places(a, place);
    for (int i = 0; i < n; i++) {
        const struct ff_tensor *x = &place[i].x, *out = &place[i].out, *out2 = &place[i].out2;
        double written = BYTES(out, out2);
        sum.flops += 2 * rows(x) * (count(&a->w) + count(&a->w2));
        sum.functions += normed(x, &a->norm);
        sum.bytes += BYTES(x) + (a->accumulate ? 2 : 1) * written;
    }
    return sum;
}

/* --- attention --- */

struct ff_cost ff_cost_pair_bias(const struct ff_pair_bias_args *a)
{
    return cost(2 * rows(&a->x) * count(&a->w), normed(&a->x, &a->norm),
                BYTES(&a->out, &a->x, &a->norm.scale, &a->norm.offset, &a->w));
}

struct ff_cost ff_cost_attention(const struct ff_attention_args *a)
{
    double length = (double)a->out.shape[1];
    return cost(4 * count(&a->out) * length, rows(&a->out) * a->n_head * length + SIGMOID * count(&a->out),
                BYTES(&a->out, &a->qkvg, &a->mask, &a->bias));
}

struct ff_cost ff_cost_global_attention(const struct ff_global_attention_args *a)
{
    double columns = (double)a->out.shape[1], hd = (double)a->q_w.shape[1];
    double flops = 2 * rows(&a->out) * (count(&a->kv_w) + count(&a->gate_w) + count(&a->o_w) + 2 * hd) +
                   2 * columns * count(&a->q_w);
    return cost(flops, count(&a->out) + rows(&a->out) * (a->n_head + SIGMOID * hd),
                BYTES(&a->out, &a->out, &a->mask, &a->norm.scale, &a->norm.offset, &a->q_w, &a->kv_w, &a->gate_w,
                      &a->gate_b, &a->o_w, &a->o_b));
}

struct ff_cost ff_cost_template_attention(const struct ff_template_attention_args *a)
{
    double pairs = rows(&a->out), templates = (double)a->t.shape[0], hd = (double)a->q_w.shape[1];
    double flops = 2 * pairs * (count(&a->q_w) + count(&a->o_w) +
                                templates * (count(&a->k_w) + count(&a->v_w) + 2 * hd));
    return cost(flops, pairs * a->n_head * templates,
                BYTES(&a->out, &a->out, &a->t, &a->mask, &a->q_w, &a->k_w, &a->v_w, &a->o_w, &a->o_b));
}

/* --- transitions, triangles, outer product --- */

/* Numbers of all channels. */
static double planes(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart)
{
    return (double)(ff_planes_count(others, apart, n_apart) * others->shape[1] * others->shape[2]);
}

struct ff_cost ff_cost_transition(const struct ff_transition_args *a)
{
    return cost(2 * rows(&a->out) * (count(&a->w1) + count(&a->w2)), normed(&a->out, &a->norm),
                BYTES(&a->out, &a->out, &a->norm.scale, &a->norm.offset, &a->w1, &a->b1, &a->w2, &a->b2));
}

struct ff_cost ff_cost_triangle_project(const struct ff_triangle_project_args *a)
{
    double written = planes(&a->out, a->apart, FF_PLANES_APART);
    return cost(2 * rows(&a->z) * (count(&a->w) + count(&a->gate_w)),
                count(&a->z) + SIGMOID * written,
                written * (double)ff_dtype_size(a->out.dtype) + BYTES(&a->z, &a->mask, &a->norm.scale, &a->norm.offset,
                                                                      &a->w, &a->b, &a->gate_w, &a->gate_b));
}

struct ff_cost ff_cost_triangle_contract(const struct ff_triangle_contract_args *a)
{
    return cost(2 * count(&a->out) * (double)a->a.shape[2], 0, BYTES(&a->out, &a->a, &a->b));
}

struct ff_cost ff_cost_triangle_output(const struct ff_triangle_output_args *a)
{
    return cost(2 * rows(&a->out) * (count(&a->o_w) + count(&a->gate_w)),
                planes(&a->x, &a->apart, 1) + (1 + SIGMOID) * count(&a->out),
                BYTES(&a->out, &a->out, &a->x, &a->apart.t, &a->center_norm.scale, &a->center_norm.offset, &a->o_w,
                      &a->o_b, &a->norm.scale, &a->norm.offset, &a->gate_w, &a->gate_b));
}

struct ff_cost ff_cost_outer_product_mean(const struct ff_outer_product_mean_args *a)
{
    double pairs = rows(&a->out), channels = (double)a->a.shape[2], n_seq = (double)a->a.shape[0];
    return cost(2 * pairs * (n_seq * (channels * channels + 1) + count(&a->w)), pairs,
                BYTES(&a->out, &a->out, &a->a, &a->b, &a->mask_a, &a->mask_b, &a->w, &a->bias));
}

/* --- embeddings --- */

struct ff_cost ff_cost_outer_sum(const struct ff_outer_sum_args *a)
{
    return cost(0, 0, BYTES(&a->out, &a->out, &a->left, &a->right));
}

struct ff_cost ff_cost_relative_position(const struct ff_relative_position_args *a)
{
    return cost(0, 0, BYTES(&a->out, &a->out, &a->index_i, &a->index_j, &a->asym_i, &a->asym_j, &a->entity_i,
                            &a->entity_j, &a->sym_i, &a->sym_j, &a->w, &a->b));
}

struct ff_cost ff_cost_distance_embed(const struct ff_distance_embed_args *a)
{
    return cost(0, 0, BYTES(&a->out, &a->out, &a->x_i, &a->x_j, &a->w, &a->b));
}

struct ff_cost ff_cost_extra_msa_embed(const struct ff_extra_msa_embed_args *a)
{
    return cost(0, 0, BYTES(&a->out, &a->msa, &a->has_deletion, &a->deletion_value, &a->w, &a->b));
}

struct ff_cost ff_cost_template_pair_embed(const struct ff_template_pair_embed_args *a)
{
    /* The unit vector of a pair: a root and a quotient. */
    double functions = ff_tensor_present(&a->w_unit) ? 2 * rows(&a->out) : 0;
    return cost(0, functions,
                BYTES(&a->out, &a->aatype_i, &a->aatype_j, &a->pseudo_beta_i, &a->pseudo_beta_j,
                      &a->pseudo_beta_mask_i, &a->pseudo_beta_mask_j, &a->frame_i, &a->frame_j, &a->backbone_mask_i,
                      &a->backbone_mask_j, &a->asym_i, &a->asym_j, &a->w_dgram, &a->w_pb_mask, &a->w_aatype_j,
                      &a->w_aatype_i, &a->w_unit, &a->w_bb_mask, &a->b));
}

/* --- structure module --- */

struct ff_cost ff_cost_point_attention(const struct ff_point_attention_args *a)
{
    double pairs = rows(&a->z), n_head = a->n_head, c_z = (double)a->z.shape[2];
    double per_head = a->n_qk + 3 * a->n_point_qk + a->n_v + 3 * a->n_point_v + 2 * c_z;
    return cost(2 * pairs * n_head * per_head, normed(&a->z, &a->norm) + pairs * n_head,
                BYTES(&a->out, &a->q, &a->kv, &a->q_point, &a->kv_point, &a->frame_i, &a->frame_j, &a->mask_i,
                      &a->mask_j, &a->z, &a->norm.scale, &a->norm.offset, &a->w2d, &a->b2d, &a->point_weight));
}

struct ff_cost ff_cost_rigid_update(const struct ff_rigid_update_args *a)
{
    return cost(0, 2 * rows(&a->out), BYTES(&a->out, &a->out, &a->quat, &a->quat, &a->update));
}

struct ff_cost ff_cost_atoms_from_angles(const struct ff_atoms_from_angles_args *a)
{
    /* A root and a quotient for each angle. */
    return cost(0, count(&a->angles),
                BYTES(&a->out, &a->atom14, &a->frame, &a->angles, &a->aatype, &a->table_frame, &a->table_group,
                      &a->table_position, &a->table_atom14, &a->table_exists));
}

struct ff_cost ff_cost_pseudo_beta(const struct ff_pseudo_beta_args *a)
{
    /* One atom of 37 is read. */
    return cost(0, 0, scattered_points(rows(&a->out)) + BYTES(&a->out, &a->aatype));
}

/* --- heads --- */

struct ff_cost ff_cost_symmetric_linear(const struct ff_symmetric_linear_args *a)
{
    /* z and zt are two views of one tensor, except under a split pair, where they are two halves of it. */
    double z = a->z.data == a->zt.data ? BYTES(&a->z) : BYTES(&a->z, &a->zt);
    return cost(2 * rows(&a->z) * count(&a->w), 0, z + BYTES(&a->out, &a->w, &a->b));
}

struct ff_cost ff_cost_aligned_error(const struct ff_aligned_error_args *a)
{
    return cost(2 * rows(&a->z) * count(&a->w), rows(&a->z) * (double)a->w.shape[1],
                BYTES(&a->out, &a->tm, &a->logits, &a->z, &a->w, &a->b));
}

struct ff_cost ff_cost_distance_change(const struct ff_distance_change_args *a)
{
    /* Of the atoms only CA is read. Two distances of each pair. */
    double residues = (double)a->mask.shape[0];
    return cost(0, residues * (residues - 1), scattered_points(2 * residues) + BYTES(&a->mask));
}
