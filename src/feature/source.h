/* SPDX-License-Identifier: Apache-2.0
 * source: where the network takes its input from, one set of processed features per (pass, ensemble member).
 *
 * The arrays carry the published names without the leading recycle axis (aatype [N], msa_feat [S, N, 49], extra_msa
 * [E, N], template_aatype [T, N], ...). Sets are made one at a time, so that ten recycles of a deep MSA need the memory
 * of one. Only rows that exist are served (feature/msa_features.h says why padding changes nothing): n_extra may be 0,
 * and n_template too, where the published program would pass masked rows alone.
 */
#ifndef FF_FEATURE_SOURCE_H
#define FF_FEATURE_SOURCE_H

#include <stdbool.h>

#include "feature/config.h"
#include "format/array.h"

/* Sizes known before anything is computed: what the planner needs. */
struct ff_input_shape {
    int n_res;
    int n_seq;                /* cluster rows, without template rows */
    int n_extra;
    int n_template;           /* 0: the model gets none */
    bool has_masked_residues; /* seq_mask is not 1 everywhere */
    int n_rank;               /* ranks that share the target; 0 and 1: one */
    int n_pass;               /* most passes that the source can serve (recycles + 1); 0: any number */
};

struct ff_source {
    struct ff_input_shape shape;
    bool last_pass;           /* set by the caller before next: no pass will follow (FF_SAMPLING_JAX asks for it) */
    /* Fills *ret (owned by the caller) for one pass (0-based) and ensemble member. */
    ff_status (*next)(struct ff_source *self, int pass, int member, struct ff_arrays *ret);
    void (*destroy)(struct ff_source *self);
    void *impl;
};

static inline void ff_source_destroy(struct ff_source *s)
{
    if (s != NULL && s->destroy != NULL)
        s->destroy(s);
}

struct ff_source_options {
    struct ff_feature_config features;
    uint64_t seed;
    bool resample;            /* draw anew in every pass (model.resample_msa_in_recycling) */
    int num_ensemble;         /* members of one pass; 1 but for CASP14 */
    bool fixed_size;          /* as published: pad to max_clusters, max_extra and max_templates rows (single chains),
                               * or keep rows that are masked as a whole (complexes) */
};

/* Raw features of one chain (feature/raw_features.h). Takes over the arrays of *raw, whether it succeeds or not; name
 * is for messages. FF_EINPUT, FF_EUSAGE. */
ff_status ff_source_from_raw(const char *name, struct ff_arrays *raw, const struct ff_source_options *options,
                             struct ff_source **ret) FF_MUST_USE;

/* Raw features of a complex (feature/assembly.h, or the published program's features of the same names). Takes over
 * *raw, whether it succeeds or not. FF_EINPUT, FF_EUSAGE. */
ff_status ff_source_from_complex(const char *name, struct ff_arrays *raw, const struct ff_source_options *options,
                                 struct ff_source **ret) FF_MUST_USE;

/* Processed features: the arrays above with a leading axis of (pass, member), or without it for one set. Takes over
 * *processed. Sampling options do not matter. FF_EINPUT. */
ff_status ff_source_from_processed(const char *name, struct ff_arrays *processed,
                                   const struct ff_source_options *options, struct ff_source **ret) FF_MUST_USE;

#endif
