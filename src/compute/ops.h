/* SPDX-License-Identifier: Apache-2.0
 * ops: the table of operations that the network is written in; the only compute interface.
 *
 * Every op has a struct of arguments whose first member, out, is the tensor written. FF_OPS names them all; the table,
 * its wrappers (plan, dump, profile), the tests, the benchmark and the cost functions are made from that one list.
 * Layers call   FF_OP(ctx->backend, linear, .out = o, .x = x, .w = w.w, .b = w.b);
 * so an argument not named is absent ({0}).
 *
 * An op is what one fused GPU kernel should do; a backend may compose or split below this line, using its own fixed
 * workspace and nothing else. Ops return nothing: wrong shapes and device failures end the program (ff_die).
 *
 * Conventions: shapes in comments; `+=` marks an output that is updated in place; [..] stands for up to three leading
 * axes, the same for all operands that show it. x, z and m operands may have any strides on the leading axes (a
 * transposed view serves the ending node and incoming edges), weights are contiguous. Masks are float32, 0 or 1; an
 * entry counts as masked when it is 0. eps of every layer norm is 1e-5, biased variance. Activations may be float32 or
 * bfloat16; sums, softmax and layer norm are computed in float32 whatever the storage. Beside float32 activations the
 * operands of attention may be float16: qkvg, bias and out, which linear and pair_bias write and linear reads; numbers
 * beyond 65504 are infinite there, but for the bias, which ends at 65504. Integers are int32.
 *
 * Algorithm numbers: Jumper et al. 2021, Supplementary Information.
 */
#ifndef FF_COMPUTE_OPS_H
#define FF_COMPUTE_OPS_H

#include "compute/tensor.h"

#define FF_OPS(X)            \
    X(copy)                  \
    X(fill)                  \
    X(scale_add)             \
    X(layer_norm)            \
    X(linear)                \
    X(pair_bias)             \
    X(attention)             \
    X(global_attention)      \
    X(transition)            \
    X(triangle_project)      \
    X(triangle_contract)     \
    X(triangle_output)       \
    X(outer_product_mean)    \
    X(outer_sum)             \
    X(relative_position)     \
    X(distance_embed)        \
    X(extra_msa_embed)       \
    X(template_pair_embed)   \
    X(template_attention)    \
    X(point_attention)       \
    X(rigid_update)          \
    X(atoms_from_angles)     \
    X(pseudo_beta)           \
    X(symmetric_linear)      \
    X(aligned_error)         \
    X(distance_change)

/* Learned scale and offset of a layer norm; absent (scale.ndim == 0) where an op allows no normalisation. */
struct ff_norm {
    struct ff_tensor scale;      /* [c] */
    struct ff_tensor offset;     /* [c] */
};

/* Some planes of a channel-first tensor [c, I, J] that lie elsewhere: channel from + n is t[n]. The tensor itself then
 * has the other channels, one behind the other. */
struct ff_planes {
    struct ff_tensor t;          /* [n, I, J]; absent: there are none */
    int64_t from;
};
/* A list of planes is in the order of channels and ends with one that is absent, or here. */
enum { FF_PLANES_APART = 8, FF_PLANES_MOST = 2 * FF_PLANES_APART + 1 };
/* All channels as runs of which each has one place. Returns how many they are, FF_PLANES_MOST at most. */
int ff_planes_of(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart, struct ff_planes *ret);
/* How many channels there are in all. */
int64_t ff_planes_count(const struct ff_tensor *others, const struct ff_planes *apart, int n_apart);

/* --- general ---------------------------------------------------------------------------------------------------- */

/* out = x, converting between float32 and bfloat16 (int32 to int32); any strides on all axes but the last. */
struct ff_copy_args {
    struct ff_tensor out;        /* [.., c] */
    struct ff_tensor x;          /* [.., c] */
};

struct ff_fill_args {
    struct ff_tensor out;        /* [.., c] */
    float value;
};

/* out = alpha * out + beta * x; with alpha 0 the old out is not read. Averages ensembles and template embeddings. */
struct ff_scale_add_args {
    struct ff_tensor out;        /* [.., c] += */
    struct ff_tensor x;          /* [.., c]; absent: only scales */
    float alpha;
    float beta;
};

/* out = [out +] LN(x); out may be x itself. */
struct ff_layer_norm_args {
    struct ff_tensor out;        /* [.., c] */
    struct ff_tensor x;          /* [.., c] */
    struct ff_norm norm;
    bool accumulate;
};

/* Rows of a linear in another place than its first. */
enum { FF_LINEAR_PLACES = 3 };
struct ff_linear_rows {
    struct ff_tensor out;        /* [.., n] */
    struct ff_tensor x;          /* [.., k] */
};

/* out = [out +] mask * act(pre(x) W + b), pre(x) = LN(x) if norm is given, relu(x) if relu_input, else x.
 * mask multiplies the product (not the old out). A second layer of the same x makes out2 in the same way. Rows may lie
 * in several places, where there is neither a mask nor out2. */
struct ff_linear_args {
    struct ff_tensor out;        /* [.., n] */
    struct ff_tensor x;          /* [.., k] */
    struct ff_norm norm;         /* of k; may be absent */
    struct ff_tensor w;          /* [k, n] */
    struct ff_tensor b;          /* [n]; may be absent */
    struct ff_tensor mask;       /* [..] float32, any strides; may be absent */
    struct ff_tensor out2;       /* [.., n2]; may be absent */
    struct ff_tensor w2;         /* [k, n2] */
    struct ff_tensor b2;         /* [n2]; may be absent */
    struct ff_linear_rows more[FF_LINEAR_PLACES - 1];    /* as out and x; those that are there come first */
    bool relu_input;
    bool relu;                   /* act = relu */
    bool accumulate;
};
/* The two layers of a linear with out2, each by itself. */
void ff_linear_apart(const struct ff_linear_args *a, struct ff_linear_args ret[2]);
/* The rows of each place by themselves; returns how many places there are. */
int ff_linear_places(const struct ff_linear_args *a, struct ff_linear_args ret[FF_LINEAR_PLACES]);

/* --- attention -------------------------------------------------------------------------------------------------- */

/* out[h, i, j] = LN(x)[i, j] . w[:, h]: the pair bias of row and triangle attention (Alg. 7 line 3, 13 line 3). */
struct ff_pair_bias_args {
    struct ff_tensor out;        /* [H, I, J] */
    struct ff_tensor x;          /* [I, J, c] */
    struct ff_norm norm;
    struct ff_tensor w;          /* [c, H] */
};

/* Gated self-attention along L for every row of B (Alg. 7, 8, 13, 14):
 * out[b, i, h] = sigmoid(g[b, i, h]) * sum_j softmax_j(q.k / sqrt(d) + bias[h, i, j])  v[b, j, h];
 * logits of masked keys (mask[b, j] == 0) are replaced by -1e9 after the bias was added, so that a row without any
 * unmasked key gets uniform weights, as in the published program. */
struct ff_attention_args {
    struct ff_tensor out;        /* [B, L, H * d] */
    struct ff_tensor qkvg;       /* [B, L, 4 * H * d]: q, k, v, gate before the sigmoid, each [H, d] */
    struct ff_tensor mask;       /* [B, L] float32, any strides */
    struct ff_tensor bias;       /* [H, L, L]; absent for columns of the MSA */
    int n_head;
};

/* m[s, r] += gated global attention along s for every column r (Alg. 19), x = LN(m):
 * q[h] = mean of x over unmasked s (sum / (count + 1e-10)) Wq / sqrt(d); k, v one head for all (kv_w);
 * out[s, h] = sigmoid(x Wg + bg)[s, h] * sum_s' softmax(q[h].k[s']) v[s']; then the output projection. */
struct ff_global_attention_args {
    struct ff_tensor out;        /* [S, R, c] += */
    struct ff_tensor mask;       /* [S, R] float32, any strides */
    struct ff_norm norm;
    struct ff_tensor q_w;        /* [c, H * d] */
    struct ff_tensor kv_w;       /* [c, 2 * d]: key, value */
    struct ff_tensor gate_w;     /* [c, H * d] */
    struct ff_tensor gate_b;     /* [H * d] */
    struct ff_tensor o_w;        /* [H * d, c] */
    struct ff_tensor o_b;        /* [c] */
    int n_head;
};

/* --- transitions, triangles, outer product ---------------------------------------------------------------------- */

/* x += relu(LN(x) W1 + b1) W2 + b2 (Alg. 9, 15), without the whole [.., n] intermediate. */
struct ff_transition_args {
    struct ff_tensor out;        /* [.., c] += */
    struct ff_norm norm;
    struct ff_tensor w1;         /* [c, n] */
    struct ff_tensor b1;         /* [n] */
    struct ff_tensor w2;         /* [n, c] */
    struct ff_tensor b2;         /* [c] */
};

/* out[:, i, k] = mask * (LN(z) W + b) * sigmoid(LN(z) Wg + bg), channel first (Alg. 11, 12 lines 1-2). */
struct ff_triangle_project_args {
    struct ff_tensor out;        /* [c_i, I, K], less the channels of apart */
    struct ff_planes apart[FF_PLANES_APART];    /* channels that go elsewhere, to memory of other GPUs too */
    struct ff_tensor z;          /* [I, K, c_z] */
    struct ff_tensor mask;       /* [I, K] float32, any strides */
    struct ff_norm norm;
    struct ff_tensor w;          /* [c_z, c_i] */
    struct ff_tensor b;          /* [c_i] */
    struct ff_tensor gate_w;     /* [c_z, c_i] */
    struct ff_tensor gate_b;     /* [c_i] */
};

/* out[c, i, j] = sum_k a[c, i, k] b[c, j, k] (Alg. 11 line 4; on transposed views Alg. 12 line 4). */
struct ff_triangle_contract_args {
    struct ff_tensor out;        /* [c_i, I, J] */
    struct ff_tensor a;          /* [c_i, I, K], rows may be strided */
    struct ff_tensor b;          /* [c_i, J, K], rows may be strided */
};

/* z += (LN(x) Wo + bo) * sigmoid(LN(z) Wg + bg), x channel first (Alg. 11, 12 lines 3-4). */
struct ff_triangle_output_args {
    struct ff_tensor out;        /* z [I, J, c_z] += */
    struct ff_tensor x;          /* [c_i, I, J], less the channels of apart */
    struct ff_planes apart;      /* channels that are read from elsewhere; may be absent */
    struct ff_norm center_norm;  /* of c_i */
    struct ff_tensor o_w;        /* [c_i, c_z] */
    struct ff_tensor o_b;        /* [c_z] */
    struct ff_norm norm;         /* of c_z */
    struct ff_tensor gate_w;     /* [c_z, c_z] */
    struct ff_tensor gate_b;     /* [c_z] */
};

/* z[i, j] += (flat(sum_s a[s, i] (x) b[s, j]) W + bias) / (1e-3 + sum_s mask_a[s, i] mask_b[s, j]) (Alg. 10).
 * a and b are already masked projections. */
struct ff_outer_product_mean_args {
    struct ff_tensor out;        /* z [I, J, c_z] += */
    struct ff_tensor a;          /* [S, I, C], any strides on S and I */
    struct ff_tensor b;          /* [S, J, C] */
    struct ff_tensor mask_a;     /* [S, I] float32, any strides */
    struct ff_tensor mask_b;     /* [S, J] */
    struct ff_tensor w;          /* [C * C, c_z], the index of a slow */
    struct ff_tensor bias;       /* [c_z] */
};

/* --- embeddings ------------------------------------------------------------------------------------------------- */

/* z[i, j] += left[i] + right[j] (Alg. 3 line 2); also m[s, r] += right[r] with left absent (Alg. 3 line 4). */
struct ff_outer_sum_args {
    struct ff_tensor out;        /* [I, J, c] += */
    struct ff_tensor left;       /* [I, c]; may be absent */
    struct ff_tensor right;      /* [J, c] */
};

/* z[i, j] += one_hot(clip(index_i - index_j + k, 0, 2k)) W + b (Alg. 4). With asym given (complexes; Evans et al. 2021)
 * the features are [relative index, 2k + 2: other chain = 2k + 1 | same entity, 1 | relative chain, 2m + 2:
 * clip(sym_i - sym_j + m, 0, 2m), other entity = 2m + 1]; all are row sums of W. */
struct ff_relative_position_args {
    struct ff_tensor out;        /* [I, J, c] += */
    struct ff_tensor index_i, index_j;      /* [I], [J] int32 residue_index */
    struct ff_tensor asym_i, asym_j;        /* [I], [J] int32; absent for one chain */
    struct ff_tensor entity_i, entity_j;
    struct ff_tensor sym_i, sym_j;
    struct ff_tensor w;          /* [2k + 1, c], or [2k + 2 + 1 + 2m + 2, c] */
    struct ff_tensor b;          /* [c] */
    int max_relative_idx;        /* k = 32 */
    int max_relative_chain;      /* m = 2 */
};

/* z[i, j] += one_hot(bin of |x_i - x_j|) W + b (Alg. 32 lines 1-2). Bin n: lower[n]^2 < d^2 < lower[n + 1]^2 with
 * lower = linspace(min_bin, max_bin, n_bin), the last open to 1e8; on a border and below min_bin no bin at all. */
struct ff_distance_embed_args {
    struct ff_tensor out;        /* [I, J, c] += */
    struct ff_tensor x_i, x_j;   /* [I, 3], [J, 3] float32, angstrom */
    struct ff_tensor w;          /* [n_bin, c] */
    struct ff_tensor b;          /* [c] */
    float min_bin, max_bin;
};

/* out = one_hot(msa, 23) W[0:23] + has_deletion W[23] + deletion_value W[24] + b (Alg. 2 line 14). */
struct ff_extra_msa_embed_args {
    struct ff_tensor out;        /* [S, N, c] */
    struct ff_tensor msa;        /* [S, N] int32 */
    struct ff_tensor has_deletion;   /* [S, N] float32 */
    struct ff_tensor deletion_value; /* [S, N] float32 */
    struct ff_tensor w;          /* [25, c] */
    struct ff_tensor b;          /* [c] */
};

/* Pair features of one template (Alg. 2 line 9) times their embedding, for rows i and columns j:
 *   dgram(pseudo_beta) W_dgram + pb_mask W_pb + one_hot(aatype_j) W_aa_j + one_hot(aatype_i) W_aa_i
 *   + unit(i, j) W_unit + bb_mask W_bb + b,   bins as in distance_embed.
 * pb_mask = pseudo_beta_mask_i * _j, bb_mask = backbone_mask_i * _j, both times (asym_i == asym_j) when asym is given.
 * unit(i, j): direction of CA_j in the frame of i, R_i^T (t_j - t_i), over its length (+ 1e-6 under the root, or
 * max(length^2, 1e-12) when clamp_norm), times bb_mask; zero when W_unit is absent. With clamp_norm the direction is
 * R_i^T t_j + R_i^T (-t_i), rounded as in ops_cpu_embed.c: what that leaves for i = j passes the clamp as a direction.
 * mask_all: the whole feature vector is multiplied by bb_mask (single chain); otherwise the dgram by pb_mask only. */
struct ff_template_pair_embed_args {
    struct ff_tensor out;        /* [I, J, c_t] */
    struct ff_tensor aatype_i, aatype_j;           /* [I], [J] int32, 0..21 */
    struct ff_tensor pseudo_beta_i, pseudo_beta_j; /* [I, 3], [J, 3] */
    struct ff_tensor pseudo_beta_mask_i, pseudo_beta_mask_j;
    struct ff_tensor frame_i;    /* [I, 12]: rotation row by row, translation */
    struct ff_tensor frame_j;    /* [J, 12] */
    struct ff_tensor backbone_mask_i, backbone_mask_j;
    struct ff_tensor asym_i, asym_j; /* int32; absent for one chain */
    struct ff_tensor w_dgram;    /* [n_bin, c_t] */
    struct ff_tensor w_pb_mask;  /* [c_t] */
    struct ff_tensor w_aatype_j; /* [22, c_t] */
    struct ff_tensor w_aatype_i; /* [22, c_t] */
    struct ff_tensor w_unit;     /* [3, c_t]; may be absent */
    struct ff_tensor w_bb_mask;  /* [c_t] */
    struct ff_tensor b;          /* [c_t] */
    float min_bin, max_bin;
    bool mask_all;
    bool clamp_norm;
};

/* z[i, j] += attention of z[i, j] over the templates t[:, i, j] (Alg. 17), no gate; masked templates get logits
 * -1e9. */
struct ff_template_attention_args {
    struct ff_tensor out;        /* z [I, J, c_z] += */
    struct ff_tensor t;          /* [T, I, J, c_t] */
    struct ff_tensor mask;       /* [T] float32 */
    struct ff_tensor q_w;        /* [c_z, H * d] */
    struct ff_tensor k_w, v_w;   /* [c_t, H * d] */
    struct ff_tensor o_w;        /* [H * d, c_z] */
    struct ff_tensor o_b;        /* [c_z] */
    int n_head;
};

/* --- structure module (float32) --------------------------------------------------------------------------------- */

/* Invariant point attention without its projections (Alg. 22 lines 4-13). logits[h, i, j] =
 *   sqrt(1/(3 c)) q.k - 0.5 sqrt(2/(27 P)) softplus(w[h]) sum_p |T_i q_p - T_j k_p|^2 + sqrt(1/3) (LN(z) w2d + b2d)[h]
 *   - 1e5 (1 - mask_i mask_j) unless that is the same for all j; softmax over j. Points are x for all heads and points,
 * then y, then z.
 * out[i] = [v: H * c_v | local point x: H * P_v | y | z | sqrt(1e-8 + |point|^2): H * P_v |
 *           sum_j a LN(z)[i, j]: H * c_z] */
struct ff_point_attention_args {
    struct ff_tensor out;        /* [I, H * (c_v + 4 * P_v + c_z)] */
    struct ff_tensor q;          /* [I, H * c] */
    struct ff_tensor kv;         /* [J, H * (c + c_v)], per head k then v */
    struct ff_tensor q_point;    /* [I, 3 * H * P], local frame */
    struct ff_tensor kv_point;   /* [J, 3 * H * (P + P_v)], per head P key points then P_v value points */
    struct ff_tensor frame_i;    /* [I, 12]: rotation row by row, translation */
    struct ff_tensor frame_j;    /* [J, 12] */
    struct ff_tensor mask_i, mask_j; /* [I], [J] float32 */
    struct ff_tensor z;          /* [I, J, c_z], float32 or bfloat16, before its layer norm */
    struct ff_norm norm;         /* of c_z */
    struct ff_tensor w2d;        /* [c_z, H] */
    struct ff_tensor b2d;        /* [H] */
    struct ff_tensor point_weight; /* [H] trainable_point_weights, before softplus */
    int n_head, n_qk, n_v, n_point_qk, n_point_v;
};

/* Backbone update (Alg. 23): quat' = normalised(quat + quat * (0, b)), frame' = (R(quat'), t + R u),
 * update = (b, u). */
struct ff_rigid_update_args {
    struct ff_tensor out;        /* frame [N, 12] += */
    struct ff_tensor quat;       /* [N, 4] += */
    struct ff_tensor update;     /* [N, 6] */
};

/* Torsion angles to atoms (Alg. 24). angles are (sin, cos) before normalisation: x / sqrt(max(|x|^2, 1e-12)).
 * The tables are constants per residue type (21, the last unknown): default_frame [21, 8, 12], group [21, 14] int32,
 * position [21, 14, 3], atom14 [21, 37] int32 index of each atom37 atom, exists [21, 37] float32. */
struct ff_atoms_from_angles_args {
    struct ff_tensor out;        /* [N, 37, 3] float32, angstrom; atoms that do not exist are 0 */
    struct ff_tensor atom14;     /* [N, 14, 3] written too when present */
    struct ff_tensor frame;      /* [N, 12], translation times scale gives angstrom */
    struct ff_tensor angles;     /* [N, 14]: 7 pairs */
    struct ff_tensor aatype;     /* [N] int32 */
    struct ff_tensor table_frame, table_group, table_position, table_atom14, table_exists;
    float scale;
};

/* CB of each residue, CA for glycine (aatype 7); atom37 order (CA 1, CB 3). */
struct ff_pseudo_beta_args {
    struct ff_tensor out;        /* [N, 3] */
    struct ff_tensor atoms;      /* [N, 37, 3] */
    struct ff_tensor aatype;     /* [N] int32 */
};

/* --- heads ------------------------------------------------------------------------------------------------------ */

/* out[i, j] = (z[i, j] + zt[i, j]) W + 2 b, zt the transposed pair: the distogram logits (Suppl. 1.9.8). */
struct ff_symmetric_linear_args {
    struct ff_tensor out;        /* [I, J, n] float32 */
    struct ff_tensor z;          /* [I, J, c] */
    struct ff_tensor zt;         /* [I, J, c] view of z[j, i] */
    struct ff_tensor w;          /* [c, n] */
    struct ff_tensor b;          /* [n] */
};

/* Aligned error (Suppl. 1.9.7): p = softmax(z W + b) over n bins with centres (max_bin/(n-2)) (k + 0.5);
 * out = sum p centre; tm = sum p / (1 + centre^2 / d0^2). */
struct ff_aligned_error_args {
    struct ff_tensor out;        /* [I, J] float32, angstrom */
    struct ff_tensor tm;         /* [I, J] float32; may be absent */
    struct ff_tensor logits;     /* [I, J, n] float32; may be absent */
    struct ff_tensor z;          /* [I, J, c] */
    struct ff_tensor w;          /* [c, n] */
    struct ff_tensor b;          /* [n] */
    float max_bin;               /* 31 */
    float d0;
};

/* out[0] = sqrt(1e-8 + masked mean over pairs of (|a_i - a_j| - |b_i - b_j|)^2): early stop of complexes. */
struct ff_distance_change_args {
    struct ff_tensor out;        /* [1] float32 */
    struct ff_tensor a, b;       /* [N, 37, 3] atoms; CA is index 1 */
    struct ff_tensor mask;       /* [N] float32 */
};

struct ff_backend;

enum ff_op {
#define X(op) FF_OP_##op,
    FF_OPS(X)
#undef X
    FF_OP_COUNT
};

struct ff_ops {
#define X(op) void (*op)(struct ff_backend *be, const struct ff_##op##_args *a);
    FF_OPS(X)
#undef X
};

#define FF_OP(be, op, ...) ((be)->ops->op((be), &(struct ff_##op##_args){__VA_ARGS__}))

extern const char *const ff_op_name[FF_OP_COUNT];

#endif
