/* SPDX-License-Identifier: Apache-2.0
 * option_table: one row for every setting: its YAML key, its flag, its type and range, the field it fills and its help.
 *
 * The parser, `fastfold config`, --help and the manual are all made from these rows, in this order; keys of one section
 * stand together. Only the files app/option*.c use it.
 */
#ifndef FF_APP_OPTION_TABLE_H
#define FF_APP_OPTION_TABLE_H

#include <stddef.h>

#include "app/options.h"
#include "format/yaml.h"

enum ff_option_type {
    FF_OPTION_BOOL,              /* bool */
    FF_OPTION_INT,               /* int or int64_t, by size */
    FF_OPTION_FLOAT,             /* float */
    FF_OPTION_BYTES,             /* int64_t; written with a unit: 8GiB */
    FF_OPTION_CHOICE,            /* enum or bool, by size; one of the names in choices */
    FF_OPTION_NAME,              /* char[size] inside the struct */
    FF_OPTION_TEXT,              /* char *, owned; NULL allowed */
    FF_OPTION_DATE,              /* char *: a day, YYYY-MM-DD */
    FF_OPTION_PROGRAM,           /* char *: a name for PATH, or a path: relative to the file that names it */
    FF_OPTION_PATH,              /* char *: something read; relative to the file that names it */
    FF_OPTION_PARAMS,            /* FF_OPTION_PATH, or the word "synthetic" */
    FF_OPTION_OUTPUT,            /* char *: something written; relative to the working folder */
};

struct ff_choice {
    const char *name;            /* NULL ends the list */
    int value;
};

struct ff_option {
    const char *key;             /* "model.num_recycle" */
    const char *flag;            /* "--recycles"; NULL: no flag of its own, only --set and files */
    char letter;                 /* short flag, 0: none */
    const char *metavar;         /* "N"; NULL for bools */
    enum ff_option_type type;
    size_t offset;               /* in struct ff_config */
    size_t size;                 /* of the field */
    double lo, hi;               /* range of numbers */
    const struct ff_choice *choices;     /* of FF_OPTION_CHOICE; of a number: words for some of its values */
    const char *help;
};

extern const struct ff_option ff_option_table[];
extern const int ff_option_count;

/* Flags that stand for one value of a key: --no-msa is search.enabled: false. */
struct ff_option_switch {
    const char *flag;
    char letter;
    const char *key;
    const char *value;
    const char *help;
};
extern const struct ff_option_switch ff_option_switches[];
extern const int ff_option_switch_count;

/* Flags that belong to the command line alone, with the commands that take them. */
struct ff_line_option {
    const char *flag;
    const char *metavar;         /* NULL: a bool */
    size_t offset;               /* in struct ff_command_line: char * or bool */
    const char *commands;        /* " predict plan " */
    const char *help;
    bool repeats;                /* may be given several times; the values stand on lines of their own */
};
extern const struct ff_line_option ff_line_options[];
extern const int ff_line_option_count;

/* Flags that nothing can be made of together. */
struct ff_option_conflict {
    const char *one, *other;
    const char *why;
};
extern const struct ff_option_conflict ff_option_conflicts[];
extern const int ff_option_conflict_count;

const struct ff_option *ff_option_table_find(const char *key);     /* NULL when there is none */
const struct ff_option *ff_option_table_flag(const char *flag);    /* "--recycles" or "-o" */
const struct ff_option_switch *ff_option_table_switch(const char *flag);
const struct ff_line_option *ff_option_table_line(const char *flag, const char *command);
/* Whether key names a section: "model", "model.evoformer". */
bool ff_option_table_is_section(const char *key);
/* The group of --help that a row belongs to, a bit of enum ff_option_group (app/commands.h). */
unsigned ff_option_table_group(const struct ff_option *o);

#endif
