/* SPDX-License-Identifier: Apache-2.0
 * output: the files of a finished prediction, in AlphaFold's layout. The only file that knows their names.
 *
 *   DIR/<target>/msas/...                          alignments kept by the searches
 *                features.npz                      raw features
 *                unrelaxed_<model>_pred_0.pdb      structure, pLDDT as B factors (.cif where PDB has no columns for it)
 *                ranked_0.pdb                      the best one again
 *                confidence_<model>_pred_0.json    pLDDT and its category per residue
 *                pae_<model>_pred_0.json           predicted aligned error
 *                result_<model>_pred_0.npz         arrays of the network, named as in the published result
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
#include "bio/structure.h"
#include "model/model.h"

enum ff_result_file {
    FF_RESULT_FEATURES,
    FF_RESULT_RUN,
    FF_RESULT_PDB,
    FF_RESULT_RANKED_PDB,
    FF_RESULT_CIF,
    FF_RESULT_RANKED_CIF,
    FF_RESULT_ARRAYS,
    FF_RESULT_CONFIDENCE,
    FF_RESULT_PAE,
    FF_RESULT_RANKING,
    FF_RESULT_TIMINGS,
    FF_RESULT_COUNT,
};

/* Paths; the caller frees them. model is the model's name, unused for files without one in theirs. */
char *ff_output_target_dir(const char *output_dir, const char *target);
char *ff_output_msa_dir(const char *target_dir);
char *ff_output_path(const char *target_dir, enum ff_result_file file, const char *model);
/* "model_1_ptm_pred_0": the name of the one prediction in scores and timings. */
char *ff_output_prediction_name(const char *model);

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
    const char *model;
    const struct ff_output_config *config;
    bool multimer;
    const char *params_note;             /* REMARK of the structure; NULL: none */
    const struct ff_prediction *prediction;
    const int32_t *aatype;               /* [n_res] 0..20 */
    const int32_t *residue_index;        /* [n_res] as the network got it, 0-based */
    const int32_t *asym_id;              /* [n_res] chain numbers from 1; NULL: one chain */
    int n_timing;
    const struct ff_named_value *timings; /* [n_timing] */
};

/* The structure of a prediction: residue numbers from 1, B factors pLDDT. Caller frees. */
void ff_output_structure(const struct ff_output_prediction *p, struct ff_structure *ret);

/* Writes all files but features.npz and run.json, and appends their names to files. ret_structure gets the path of
 * the ranked structure (caller frees). FF_EIO, and FF_EINTERNAL when the network gave values that are no numbers. */
ff_status ff_output_write_prediction(const struct ff_output_prediction *p, struct ff_output_files *files,
                                     char **ret_structure) FF_MUST_USE;

#endif
