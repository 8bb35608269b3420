/* SPDX-License-Identifier: Apache-2.0
 * search_tool: the external search programs: how each is found, called and fed. Only search*.c use it.
 *
 * A new program is a row in the table of search_tool.c.
 * Source: AlphaFold data/tools/.
 */
#ifndef FF_APP_SEARCH_TOOL_H
#define FF_APP_SEARCH_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "app/options.h"
#include "base/status.h"

enum ff_tool {
    FF_TOOL_JACKHMMER, FF_TOOL_PHMMER, FF_TOOL_HHBLITS, FF_TOOL_HHSEARCH, FF_TOOL_HMMBUILD, FF_TOOL_HMMSEARCH,
    FF_TOOL_MMSEQS,
    FF_TOOL_COUNT
};

const char *ff_tool_name(enum ff_tool tool);           /* "jackhmmer" */
const char *ff_tool_output(enum ff_tool tool);         /* name for what it writes: "output.sto" */
/* Memory that a search of so many bytes may take, to keep searches that run side by side within a limit. */
size_t ff_tool_memory(enum ff_tool tool, int64_t database_bytes);
/* Time of a search per byte of its database, as a multiple of jackhmmer's. */
double ff_tool_cost(enum ff_tool tool);

/* Path of the program and the line that tells its version, both for the caller to free. Starts it with -h, so a
 * program that cannot run is found here. FF_EUSAGE, FF_EMISSING, FF_ETOOL. */
ff_status ff_tool_find(const struct ff_tool_config *config, enum ff_tool tool, char **ret_path,
                       char **ret_version) FF_MUST_USE;

struct ff_tool_database {
    int64_t bytes;                       /* of all its files */
    int64_t mtime;                       /* of the latest one, in seconds since 1970 */
};

/* Whether path is a database that the tool can read; adds its files to *state. key names the setting in messages.
 * FF_EMISSING, FF_EINPUT. */
ff_status ff_tool_check_database(enum ff_tool tool, const char *key, const char *path,
                                 struct ff_tool_database *state) FF_MUST_USE;

#define FF_TOOL_FIRST_FILTER 0.0005      /* P-value of the first filter of jackhmmer and phmmer */

/* MMseqs2 is many programs in one; a search calls some of them one after the other. */
enum ff_mmseqs_step {
    FF_MMSEQS_ALL,               /* no command: the settings of all, which decide a result */
    FF_MMSEQS_CREATEDB, FF_MMSEQS_PAD, FF_MMSEQS_SEARCH, FF_MMSEQS_MOVE, FF_MMSEQS_LINK, FF_MMSEQS_EXPAND,
    FF_MMSEQS_ALIGN, FF_MMSEQS_FILTER, FF_MMSEQS_DIVERSE, FF_MMSEQS_TABLE,
    FF_MMSEQS_COUNT
};
enum { FF_MMSEQS_MAX_PATH = 5 };

/* Whether the installed MMseqs2 knows how to search on a GPU. */
bool ff_tool_mmseqs_has_gpu(const char *program);

/* Whether path is a database that MMseqs2 made, rather than a FASTA file. */
bool ff_tool_is_mmseqs_database(const char *path);
/* The kind of one: its type and, in the upper half, its flags; -1: it cannot be read. */
enum { FF_MMSEQS_AMINO_ACIDS = 0, FF_MMSEQS_PADDED = 8 << 16 };
int64_t ff_tool_mmseqs_type(const char *path);

/* Arguments as execvp takes them. */
enum { FF_COMMAND_MAX = 64 };
struct ff_command {
    char *argv[FF_COMMAND_MAX + 1];
    int n;
};

struct ff_tool_call {
    const char *program;
    const char *query;                   /* FASTA file; hhsearch: A3M; hmmbuild: Stockholm; hmmsearch: profile */
    const char *output;                  /* what to write */
    const char *const *databases;        /* [n_database] */
    int n_database;
    int cpus;
    enum ff_mmseqs_step step;            /* mmseqs, with */
    const char *paths[FF_MMSEQS_MAX_PATH];       /* its arguments, up to the first NULL */
    bool gpu;                            /* mmseqs: search on the GPU */
    int64_t memory;                      /* mmseqs: bytes that a search may take; 0: what there is */
    bool one_sequence;                   /* hmmbuild: the query is one sequence in FASTA, as jackhmmer takes it */
    int64_t z;                           /* sequences that the database counts as, jackhmmer and phmmer; 0: as found */
    int64_t dom_z;                       /* the same for domains; 0: as found */
};

void ff_tool_command(enum ff_tool tool, const struct ff_tool_call *call, struct ff_command *ret);
void ff_command_free(struct ff_command *c);
char *ff_command_text(const struct ff_command *c);     /* as one would type it; caller frees */

#endif
