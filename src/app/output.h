/* SPDX-License-Identifier: Apache-2.0
 * output: the files of a finished prediction, in AlphaFold's layout. The only file that knows their names.
 *
 *   DIR/<target>/msas/...                          alignments kept by the searches; of complexes in msas/A/, msas/B/
 *                features.npz                      raw features
 *                unrelaxed_<model>_pred_<i>.pdb    structure, pLDDT as B factors (.cif where PDB has no columns for it)
 *                confidence_<model>_pred_<i>.json  pLDDT and its category per residue
 *                pae_<model>_pred_<i>.json         predicted aligned error
 *                summary_<model>_pred_<i>.json     of complexes: chains, their scores and those of their pairs
 *                result_<model>_pred_<i>.npz       arrays of the network, named as in the published result
 *                ranked_<k>.pdb                    the structures again, the best as ranked_0
 *                ranking_debug.json, timings.json  as published
 *                run.json                          how it was made (app/run_record)
 *
 * Every file appears whole or not at all. Source: AlphaFold run_alphafold.py (predict_structure).
 */
#ifndef FF_APP_OUTPUT_H
#define FF_APP_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "app/options.h"
#include "app/output_json.h"
#include "app/output_rows.h"
#include "bio/structure.h"
#include "model/model.h"

enum ff_result_file {
    FF_RESULT_FEATURES,
    FF_RESULT_RUN,
    FF_RESULT_PDB,
    FF_RESULT_CIF,
    FF_RESULT_ARRAYS,
    FF_RESULT_CONFIDENCE,
    FF_RESULT_PAE,
    FF_RESULT_SUMMARY,
    FF_RESULT_RANKING,
    FF_RESULT_TIMINGS,
    FF_RESULT_COUNT,
};

/* Paths; the caller frees them. name is the prediction's, unused for files without one in theirs. */
char *ff_output_target_dir(const char *output_dir, const char *target);
char *ff_output_msa_dir(const char *target_dir);
/* msas/<id>/ of a chain of a complex, and the file that tells what the ids stand for. */
char *ff_output_chain_dir(const char *msa_dir, const char *id);
char *ff_output_chain_map(const char *msa_dir);
char *ff_output_path(const char *target_dir, enum ff_result_file file, const char *name);
/* "model_1_ptm_pred_0": the name of a prediction, number index of the model's. */
char *ff_output_prediction_name(const char *model, int index);
/* The structure of that rank, from 0: the .pdb, or the .cif where that is there. */
char *ff_output_ranked_path(const char *target_dir, int rank);
/* Whether the file of this name belongs to the prediction alone. */
bool ff_output_is_of(const char *file, const char *name);

/* Name of a file in the folder that a run of this or another program left as a result (features, structures, scores);
 * NULL when there is none. Caller frees. */
char *ff_output_find_result(const char *target_dir);

/* Names of the files that were written. */
struct ff_output_files {
    char **names;                /* [count] without the folder */
    int count;
    int capacity;
};
void ff_output_files_add(struct ff_output_files *f, const char *path);
void ff_output_files_free(struct ff_output_files *f);

/* What the network got and gave, and what is to be written of it. */
struct ff_output_prediction {
    const char *target_dir;
    const char *name;                    /* of the prediction */
    const struct ff_output_config *config;
    bool multimer;
    const char *params_note;             /* REMARK of the structure; NULL: none */
    const struct ff_prediction *prediction;
    struct ff_output_rows *rows;         /* of its PAE, in the file of arrays already; NULL: it is among the arrays */
    const int32_t *aatype;               /* [n_res] 0..20 */
    const int32_t *residue_index;        /* [n_res] as the network got it, 0-based */
    const int32_t *asym_id;              /* [n_res] chain numbers from 1; NULL: one chain */
};

/* The structure of a prediction: residue numbers from 1, B factors pLDDT. Caller frees. */
void ff_output_structure(const struct ff_output_prediction *p, struct ff_structure *ret);

/* Writes the files of one prediction and appends their names to files. FF_EIO, and FF_EINTERNAL when the network gave
 * values that are no numbers. */
ff_status ff_output_write_prediction(const struct ff_output_prediction *p,
                                     struct ff_output_files *files) FF_MUST_USE;

/* All predictions of a target together. */
struct ff_output_ranking {
    const char *target_dir;
    bool multimer;
    int count;
    const struct ff_named_value *scores;     /* [count] by name of the prediction */
    int n_timing;
    const struct ff_named_value *timings;    /* [n_timing] */
};

/* Writes ranking_debug.json, timings.json and ranked_*, which are copies of the structures. */
ff_status ff_output_write_ranking(const struct ff_output_ranking *r, struct ff_output_files *files) FF_MUST_USE;

#endif
