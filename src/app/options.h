/* SPDX-License-Identifier: Apache-2.0
 * options: everything that a run can be told, and the one table behind command line, YAML keys, --help and manual.
 *
 * Order of precedence: configs/default.yaml (built in) < the model preset (configs/<model>.yaml, built in; its `base:`
 * first) < --config files in the order given < --set and options on the command line, left to right.
 * Unknown keys, wrong types and values out of range are FF_EUSAGE with file and line (or the option's text).
 * options.c alone knows YAML keys.
 */
#ifndef FF_APP_OPTIONS_H
#define FF_APP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "compute/backend.h"
#include "feature/config.h"
#include "model/config.h"
#include "parallel/comm.h"

enum ff_db_preset { FF_DB_FULL, FF_DB_REDUCED };

struct ff_tool_config {              /* programs; a plain name is searched on PATH */
    char *jackhmmer, *phmmer, *hhblits, *hhsearch, *hmmbuild, *hmmsearch, *kalign, *mmseqs;
};

struct ff_database_config {          /* paths; NULL: not configured. data_dir fills in the published layout */
    char *data_dir;
    enum ff_db_preset preset;        /* full_dbs (BFD + UniRef30 by hhblits) or reduced_dbs (small BFD by jackhmmer) */
    char *uniref90, *mgnify, *bfd, *uniref30, *small_bfd, *uniprot, *pdb70, *pdb_seqres;
    char *template_mmcif_dir, *obsolete_pdbs;
    char *max_template_date;         /* yyyy-mm-dd; NULL: templates of any date */
    int uniref90_max_hits, mgnify_max_hits, small_bfd_max_hits, uniprot_max_hits;   /* rows, 0: all */
};

enum ff_search_tool { FF_SEARCH_BY_HMMER, FF_SEARCH_BY_MMSEQS };
enum ff_search_gpu { FF_SEARCH_GPU_AUTO, FF_SEARCH_GPU_YES, FF_SEARCH_GPU_NO };

struct ff_search_config {
    enum ff_search_tool tool;        /* for sequence databases in FASTA */
    int cpus;                        /* processors for all searches together; 0: all */
    int threads;                     /* most threads of one search program: 8 as published */
    int64_t memory;                  /* bytes for all searches together; 0: what is free */
    enum ff_search_gpu gpu;          /* of MMseqs2 */
    int shards;                      /* parts of a FASTA database that are searched side by side; 1: whole, 0: by size
                                      * and processors */
    int time_limit;                  /* seconds for one program; 0: none */
    int ahead;                       /* targets of a batch that are searched before it is their turn */
    bool templates;                  /* look for templates where the network takes them */
    int max_template_hits;           /* templates made of hits: 20 as published */
    char *cache_dir;                 /* results shared between folders; NULL: none */
    char *tmp_dir;                   /* NULL: inside the output folder */
    bool enabled;                    /* false: --no-msa */
};

struct ff_output_config {
    char *dir;                       /* --output-dir */
    bool overwrite;
    bool save_representations;
    bool published_chain_ids;        /* output.chain_ids: alphafold starts complexes at B; auto starts at A */
    int pae_json_max_residues;       /* above it the PAE goes to the .npz only */
    int arrays_max_residues;         /* above it the .npz has no logits and a PAE of one byte each */
};

struct ff_run_config {
    enum ff_device device;
    enum ff_precision precision;
    int threads;                     /* 0: all processors */
    int64_t seed;
    int num_seeds;                   /* predictions by each network */
    int64_t memory_limit;            /* bytes; 0: what is free */
    bool offload;                    /* auto: what a GPU cannot hold may lie in the host's memory */
    char *params;                    /* file, directory, or "synthetic" */
    char *dump;                      /* write every op's output to this .npz */
    bool profile;
    enum ff_log_level verbosity;     /* for ff_log_set_level: set by ff_options_parse */
};

struct ff_parallel_config {          /* several ranks, as mpirun starts them */
    int dap;                         /* ranks that share a target; 0: chosen for each */
    int timeout;                     /* seconds without a sign of life that end the job; 0: any */
    enum ff_transport transport;
};

struct ff_config {
    struct ff_run_config run;
    struct ff_parallel_config parallel;
    struct ff_model_config model;    /* model.name chooses the preset */
    struct ff_feature_config msa;
    struct ff_search_config search;
    struct ff_tool_config tools;
    struct ff_database_config databases;
    struct ff_output_config output;
    char *params_note;               /* one line for screen and REMARK that a preset wants shown; NULL: none */
};

/* What a command line holds besides settings. */
struct ff_command_line {
    char **operands;                 /* input files */
    int n_operand;
    char *features;                  /* --features FILE.npz */
    char *msa;                       /* --msa FILE.{a3m,sto} */
    char *templates;                 /* --template FILE[:CHAIN], several on lines of their own */
    char *models;                    /* --models NAME,... */
    bool complex;                    /* --complex */
    bool model_given;                /* --model or a file says which network */
    char *out;                       /* --out FILE (params synth) */
    bool list;                       /* --list (config) */
    bool json;                       /* --json (compare, plan, bench) */
    char *ranks, *bandwidth;         /* --ranks, --bandwidth (plan): numbers */
    char *length, *rows, *extra;     /* --length, --msa, --extra (bench): numbers */
    bool pass, no_ops, scaling;      /* --pass, --no-ops, --scaling (bench) */
    char *block;                     /* --block SIZES (bench) */
    bool help;
};

/* Parses argv behind the subcommand's name (argv[0] is the first argument, not the name), loads what --config names and
 * fills both structs; sets the log level. Defaults alone: argc 0. After --help nothing but line->help is set. On
 * failure both are empty again. */
ff_status ff_options_parse(int argc, char **argv, const char *command, struct ff_config *config,
                           struct ff_command_line *line) FF_MUST_USE;
/* The command line alone, with the log level set: for callers that choose the network by what else is on it. */
ff_status ff_options_parse_line(int argc, char **argv, const char *command, struct ff_command_line *line) FF_MUST_USE;
/* The same as ff_options_parse for a network that the caller chooses, whatever --model says; preset: a built-in file
 * that goes before those of --config, NULL: none. The log level is left alone. */
ff_status ff_options_parse_for(int argc, char **argv, const char *command, const char *model, const char *preset,
                               struct ff_config *config, struct ff_command_line *line) FF_MUST_USE;
/* Options of one subcommand, grouped, with the real defaults. */
void ff_options_print_help(const char *command, struct ff_strbuf *out);
/* The whole configuration as YAML (`fastfold config`): reads back equal from any folder. */
void ff_options_to_yaml(const struct ff_config *config, struct ff_strbuf *out);
/* One line per key: key, "-o, --flag VALUE" or nothing, what it takes, default, help, with tabs between; then the flags
 * that are no keys, the first field empty (`fastfold config --list`). */
void ff_options_print_list(const struct ff_config *config, struct ff_strbuf *out);
void ff_config_free(struct ff_config *config);
void ff_command_line_free(struct ff_command_line *line);

#endif
