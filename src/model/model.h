/* SPDX-License-Identifier: Apache-2.0
 * model: the whole network: weights once, then one call per target that runs all recycles.
 *
 * Order of calls: ff_model_open (reads and checks the parameters) - ff_model_plan (memory and chunks for one shape) -
 * ff_model_run - ff_model_close. The recycle state (previous first MSA row, pair, positions) lives in ff_model_run
 * only. Source: Jumper et al. 2021, Suppl. Alg. 2; Evans et al. 2021.
 */
#ifndef FF_MODEL_MODEL_H
#define FF_MODEL_MODEL_H

#include "compute/backend.h"
#include "feature/source.h"
#include "format/array.h"
#include "model/confidence.h"
#include "model/config.h"
#include "parallel/comm.h"

/* --- parameters ------------------------------------------------------------------------------------------------ */

/* Called for every parameter array of the preset in a fixed order: full published name (scope//name) and shape. */
void ff_model_list_params(const struct ff_model_config *c,
                          void (*visit)(void *user, const char *name, int ndim, const int64_t *shape), void *user);
/* One synthetic parameter array: count float32 values, a function of name and index alone (model/params.c). */
void ff_params_synthesize(const char *name, int ndim, const int64_t *shape, float *ret);
/* params is a .npz file, a directory holding params_<model>.npz (or params/params_<model>.npz), or "synthetic".
 * Compares names and shapes with the configuration and reports all that is missing, unexpected or of wrong shape
 * (FF_EINPUT). Reads headers only. */
ff_status ff_params_check(const char *params, const struct ff_model_config *c) FF_MUST_USE;
/* Path of the file that params means for this model; NULL for "synthetic". Caller frees. FF_EMISSING. */
ff_status ff_params_resolve(const char *params, const struct ff_model_config *c, char **ret_path) FF_MUST_USE;

/* --- plan ------------------------------------------------------------------------------------------------------ */

enum { FF_PLAN_MAX_STAGE = 16 };

struct ff_plan_stage {
    const char *name;            /* "embed", "templates", "extra-MSA stack", ... */
    size_t peak_bytes;           /* arena at its highest during the stage */
    double flops;                /* one pass */
    double bytes;
    int64_t n_op;                /* operations */
    int n_block;                 /* equal parts of the stage */
    double sent_bytes;           /* to other ranks, by the rank with the largest part */
    int64_t n_collective;
};

struct ff_plan {
    struct ff_input_shape shape;
    size_t weight_bytes;
    size_t arena_bytes;
    size_t workspace_bytes;      /* what the backend takes besides: ff_backend_overhead, and a GPU's table of what it
                                  * reaches of the host */
    size_t total_bytes;          /* sum of the three */
    size_t budget_bytes;         /* what it was fitted to */
    int64_t chunk_bytes;         /* scratch that triangle multiplication may use, and up to FF_CHUNK_MOST any layer;
                                  * what shrinks when memory is short */
    bool stream_blocks;          /* the Evoformer's weights stay on the host, and each block's come when it begins */
    int64_t stream_bytes;        /* not 0: triangle multiplication works in parts with this scratch, while new rows of
                                  * the pair wait on the host */
    size_t waiting_bytes;        /* of the host, for these rows */
    size_t spilled_bytes;        /* not 0: of the host, for finished templates, or the extra MSA during pair layers */
    bool msa_in_pieces;          /* the extra MSA is there all the time, and pieces of it come to the layers */
    size_t host_bytes;           /* of the host, for all that lies there */
    double copied_bytes_per_pass;    /* to and from the host for that */
    double moved_bytes_per_pass;     /* least traffic of all ops (without an ensemble's later members) */
    double whole_bytes_per_pass;     /* the same with whole chunks: small ones read more often */
    struct ff_plan_stage stages[FF_PLAN_MAX_STAGE];
    int n_stage;
    double flops_per_pass;       /* of this rank */
    double sent_bytes_per_pass;  /* to other ranks, by the rank with the largest part */
    int64_t collectives_per_pass;
};

/* What a plan may take. */
struct ff_plan_memory {
    size_t overhead;             /* ff_backend_overhead: taken already */
    size_t budget;               /* bytes of all together, overhead included */
    size_t host;                 /* of the host, for what does not fit; 0: nothing may lie there */
};

/* Runs the model's own code on the plan backend for shrinking chunks until the peak fits the budget; where large chunks
 * do not fit and the host may hold something, with the Evoformer's weights there. Needs neither parameters nor a GPU.
 * FF_EMEMORY when nothing fits: the message has the numbers and the longest chain that would. */
ff_status ff_model_plan(const struct ff_model_config *c, const struct ff_input_shape *shape,
                        enum ff_precision precision, enum ff_dtype activation, const struct ff_plan_memory *memory,
                        struct ff_plan *ret) FF_MUST_USE;

/* --- running --------------------------------------------------------------------------------------------------- */

struct ff_model;
ff_status ff_model_open(const struct ff_model_config *c, const char *params, struct ff_backend *be,
                        struct ff_model **ret) FF_MUST_USE;
/* Reads the parameters of another network into the memory of the present one (replaced where it is too small). After a
 * failure m can only be closed. */
ff_status ff_model_reload(struct ff_model *m, const struct ff_model_config *c, const char *params) FF_MUST_USE;
void ff_model_close(struct ff_model *m);        /* NULL is allowed */
size_t ff_model_held(const struct ff_model *m); /* bytes of the backend that it keeps between runs */
/* The memory of a plan, which ff_model_run asks for otherwise: ranks that share a target can hear of each other's lack
 * of it before they begin. FF_EMEMORY. */
ff_status ff_model_reserve(struct ff_model *m, const struct ff_plan *plan) FF_MUST_USE;

struct ff_pass_report {
    int pass;                    /* 0-based */
    double seconds;
    float mean_plddt;            /* 0..100 */
    float ptm;                   /* NaN without the head */
    float iptm;                  /* NaN for single chains */
    float distance_change;       /* CA distance change against the pass before, A; NaN in pass 0 */
};

struct ff_model_run_options {
    int num_recycle;             /* passes - 1 */
    bool want_representations;   /* pair and MSA too */
    bool want_logits;            /* distogram, PAE and masked MSA logits */
    /* Gets the rows of the last pass's PAE, in angstrom, each once, in no promised order, in place of
     * predicted_aligned_error; named on all ranks, called on rank 0. NULL: the array is made. */
    void (*take_pae)(void *user, int64_t from, int64_t n, const float *rows /* [n, N] */);
    /* May be NULL. stage is called as the pass goes on (fraction 0..1); pass after each pass. */
    void (*on_stage)(void *user, int pass, const char *stage, double fraction);
    void (*on_pass)(void *user, const struct ff_pass_report *report);
    void *user;
    struct ff_comm *comm; /* the ranks that share the target, shape.n_rank of the plan; NULL: one rank. Results are
                           * rank 0's; the others get the scores of the passes only */
    const bool *stop;            /* one rank only: checked between blocks: true ends the run with FF_EINTERRUPT */
};

struct ff_prediction {
    int n_res;
    int n_pass;                  /* passes run */
    /* Named as the published result without the pass: structure_module/final_atom_positions [N, 37, 3],
     * structure_module/final_atom_mask, distogram/{logits,bin_edges}, experimentally_resolved/logits,
     * masked_msa/logits, predicted_lddt/logits, predicted_aligned_error/{logits,breaks,asym_id},
     * predicted_aligned_error [N, N] unless its rows were taken, max_predicted_aligned_error, plddt [N], ptm, iptm,
     * representations/{single,structure_module,msa_first_row,pair}. */
    struct ff_arrays arrays;
    struct ff_pass_report *passes;  /* [n_pass] */
    float mean_plddt;
    float ptm, iptm;             /* NaN when there is none */
    float ranking_confidence;    /* mean pLDDT, or 0.8 ipTM + 0.2 pTM for complexes */
    struct ff_chain_scores chains;  /* of complexes */
    double seconds;
    size_t peak_bytes;           /* memory of the backend as planned: weights, arena, workspace, a GPU's context */
    size_t device_bytes;         /* what the GPU's driver said at the end that this process has; 0 on the host */
};

ff_status ff_model_run(struct ff_model *m, struct ff_source *source, const struct ff_plan *plan,
                       const struct ff_model_run_options *options, struct ff_prediction *ret) FF_MUST_USE;
void ff_prediction_free(struct ff_prediction *p);

#endif
