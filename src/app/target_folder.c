/* SPDX-License-Identifier: Apache-2.0
 * target_folder: the folder of one target's results, and what an earlier run left in it.
 */
#include "app/target_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/output.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"

ff_status ff_target_folder_open(const char *output_dir, const char *target, struct ff_target_folder *ret)
{
    *ret = (struct ff_target_folder){.dir = ff_output_target_dir(output_dir, target)};
    ret->msa_dir = ff_output_msa_dir(ret->dir);
    char *path = ff_output_path(ret->dir, FF_RESULT_RUN, NULL);
    ff_status st = ff_file_exists(path) ? ff_run_record_read(path, &ret->record) : FF_EMISSING;
    free(path);
    ret->has_record = st == FF_OK;
    if (st == FF_OK || st == FF_EMISSING || st == FF_EINPUT) {
        ff_status_clear();
        return FF_OK;
    }
    ff_target_folder_close(ret);
    return st;
}

void ff_target_folder_close(struct ff_target_folder *f)
{
    free(f->dir);
    free(f->msa_dir);
    ff_run_record_free(&f->record);
    *f = (struct ff_target_folder){0};
}

bool ff_target_folder_made_features(const struct ff_target_folder *f, const char *sha256)
{
    if (f->record.features_key == NULL)
        return false;
    char own[65];
    char *path = ff_output_path(f->dir, FF_RESULT_FEATURES, NULL);
    bool same = ff_file_exists(path) && ff_hash_sha256_file(path, own) == FF_OK && strcmp(own, sha256) == 0;
    free(path);
    return same;
}

ff_status ff_target_folder_refuse(const struct ff_target_folder *f, const char *what)
{
    return ff_fail(FF_EUSAGE, "%s holds %s; give another --output-dir, or --overwrite to replace them", f->dir, what);
}

static ff_status judge_foreign(const struct ff_target_folder *f)
{
    char *found = ff_output_find_result(f->dir);
    if (found == NULL)
        return FF_OK;
    char *what = ff_xasprintf("results without a record of how they were made (%s)", found);
    ff_status st = ff_target_folder_refuse(f, what);
    free(what);
    free(found);
    return st;
}

static bool same_key(const char *recorded, const char *key)
{
    return recorded != NULL && strcmp(recorded, key) == 0;
}

ff_status ff_target_folder_judge(const struct ff_target_folder *f, const struct ff_run_goal *goal, bool *ret_done)
{
    *ret_done = false;
    if (goal->overwrite || goal->last == FF_STAGE_SEARCH)
        return FF_OK;
    const struct ff_run_record *r = &f->record;
    if (!f->has_record)
        return judge_foreign(f);
    if (r->stage == FF_STAGE_SEARCH)
        return FF_OK;
    bool fits = same_key(r->features_key, goal->features_key);
    if (goal->last == FF_STAGE_PREDICT && r->prediction_key != NULL)
        fits = fits && same_key(r->prediction_key, goal->prediction_key);
    if (!fits)
        return ff_target_folder_refuse(f, "results of other inputs or settings (see its run.json)");
    *ret_done = r->stage >= goal->last && ff_run_record_files_present(r, f->dir);
    return FF_OK;
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return a != NULL && b != NULL && stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

ff_status ff_target_folder_clear(const struct ff_target_folder *f, const char *keep)
{
    if (!f->has_record)
        return FF_OK;
    char *record = ff_output_path(f->dir, FF_RESULT_RUN, NULL);
    /* First: results without a record are refused later, a record without results is not. */
    ff_status st = ff_remove_tree(record);
    free(record);
    for (int i = 0; i < f->record.n_file && st == FF_OK; i++) {
        const char *name = f->record.files[i].name;
        if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue; /* not a name that this program writes */
        char *path = ff_path_join(f->dir, name);
        if (!same_file(path, keep))
            st = ff_remove_tree(path);
        free(path);
    }
    return st;
}
