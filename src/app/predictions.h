/* SPDX-License-Identifier: Apache-2.0
 * predictions: all predictions of one target: every network with run.num_seeds seeds. Number i, from 0, network by
 * network, of n in all has the seed i + run.seed * n, as published.
 * Source: AlphaFold run_alphafold.py (predict_structure).
 */
#ifndef FF_APP_PREDICTIONS_H
#define FF_APP_PREDICTIONS_H

#include "app/predictor.h"
#include "app/run_key.h"
#include "app/run_record.h"

struct ff_prediction_item {
    int model;                   /* number of the network */
    int64_t seed;
    char *name;                  /* "model_1_ptm_pred_0" */
    char key[FF_KEY_SIZE];
};

struct ff_predictions {
    int count;
    struct ff_prediction_item *items;    /* [count] */
    char key[FF_KEY_SIZE];               /* of all together */
};

void ff_predictions_list(int n_model, const struct ff_config *configs /* [n_model] */, const struct ff_predictor *p,
                         const char *features_key, struct ff_predictions *ret);
void ff_predictions_free(struct ff_predictions *l);      /* frees what is inside and resets to {0} */

/* Moves those that an interrupted run finished, and whose files are there, from its record into the new one. */
void ff_predictions_take(const struct ff_predictions *l, struct ff_run_record *from, const char *target_dir,
                         struct ff_run_record *record);

/* What happens around a prediction that several ranks share, on the first of them. */
struct ff_shared_prediction {
    void (*begin)(void *user, const char *features, int model, int64_t seed);    /* calls the others */
    void (*end)(void *user);
    void *user;
};

struct ff_predictions_options {
    struct ff_predictor *predictor;
    const struct ff_config *configs;     /* as for the list */
    const char *features;                /* file */
    const char *target_dir;
    const bool *stop;                    /* may be NULL */
    const struct ff_shared_prediction *shared;   /* NULL: this rank is alone */
};

/* Makes those that the record lacks, each with its files, and writes the record after each; then ranks all. The record
 * is not yet one of FF_STAGE_PREDICT. */
ff_status ff_predictions_make(const struct ff_predictions *l, const struct ff_predictions_options *o,
                              struct ff_run_record *record) FF_MUST_USE;

/* The part of the other ranks in a prediction that the first one has called them to. */
ff_status ff_predictions_join(struct ff_predictor *p, const struct ff_config *config /* of the network */,
                              const char *features, int model, int64_t seed) FF_MUST_USE;

#endif
