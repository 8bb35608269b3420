/* SPDX-License-Identifier: Apache-2.0
 * option_help: the option table as text: help of a subcommand, configuration as YAML, list of all keys.
 */
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/option_file.h"
#include "app/option_value.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 100, MAX_SECTION_DEPTH = 8 };

/* --- 1. help ------------------------------------------------------------------------------------------------------ */

/* "  left            text", the text broken at blanks and continued under itself. */
static void print_entry(const char *left, const char *text, struct ff_strbuf *out)
{
    int column = HELP_COLUMN;
    if (strlen(left) > HELP_COLUMN - 4)
        ff_strbuf_printf(out, "  %s\n%*s", left, HELP_COLUMN, "");
    else
        ff_strbuf_printf(out, "  %-*s", HELP_COLUMN - 2, left);
    bool first = true;
    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (!first && column + 1 + n > HELP_WIDTH) {
            ff_strbuf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
            first = true;
        }
        ff_strbuf_printf(out, "%s%.*s", first ? "" : " ", n, text);
        column += n + !first;
        first = false;
        text += n;
        text += strspn(text, " ");
    }
    ff_strbuf_putc(out, '\n');
}

static void print_flag(char letter, const char *flag, const char *metavar, const char *help, const char *value,
                       struct ff_strbuf *out)
{
    struct ff_strbuf left = {0}, text = {0};
    if (letter != 0)
        ff_strbuf_printf(&left, "-%c, ", letter);
    bool has_value = metavar != NULL && *metavar != '\0';
    ff_strbuf_printf(&left, "%s%s%s", flag, has_value ? " " : "", has_value ? metavar : "");
    ff_strbuf_puts(&text, help);
    if (value != NULL && *value != '\0')
        ff_strbuf_printf(&text, " [%s]", value);
    print_entry(ff_strbuf_cstr(&left), ff_strbuf_cstr(&text), out);
    ff_strbuf_free(&left);
    ff_strbuf_free(&text);
}

/* What stands behind the flag: the names to choose from, else the row's word for a value. */
static void print_metavar(const struct ff_option *o, struct ff_strbuf *out)
{
    const struct ff_choice *c = o->choices;
    for (; c != NULL && c->name != NULL; c++)
        ff_strbuf_printf(out, "%s%s", c == o->choices ? "" : "|", c->name);
    if (o->type != FF_OPTION_CHOICE)
        ff_strbuf_printf(out, "%s%s", c == o->choices ? "" : "|", o->metavar);
}

/* The default as one would type it; nothing for a bool or what is not set. */
static void print_default(const struct ff_option *o, const struct ff_config *defaults, struct ff_strbuf *out)
{
    char **text = ff_option_text(o, (struct ff_config *)defaults);
    if (text != NULL)
        ff_strbuf_puts(out, *text != NULL ? *text : "");
    else if (o->type != FF_OPTION_BOOL)
        ff_option_print(o, defaults, false, out);
}

static void print_group(unsigned group, const char *title, const struct ff_config *defaults, struct ff_strbuf *out)
{
    ff_strbuf_printf(out, "\n%s:\n", title);
    for (int i = 0; i < ff_option_count; i++) {
        const struct ff_option *o = &ff_option_table[i];
        if (o->flag == NULL || ff_option_table_group(o) != group)
            continue;
        struct ff_strbuf metavar = {0}, value = {0};
        if (o->metavar != NULL)
            print_metavar(o, &metavar);
        print_default(o, defaults, &value);
        print_flag(o->letter, o->flag, ff_strbuf_cstr(&metavar), o->help, ff_strbuf_cstr(&value), out);
        ff_strbuf_free(&metavar);
        ff_strbuf_free(&value);
    }
    for (int i = 0; i < ff_option_switch_count; i++) {
        const struct ff_option_switch *s = &ff_option_switches[i];
        if (ff_option_table_group(ff_option_table_find(s->key)) == group)
            print_flag(s->letter, s->flag, NULL, s->help, NULL, out);
    }
}

static const struct {
    const char *name, *operands, *summary;
    unsigned groups;
} commands[] = {
#define X(n, h, g, o, s) {.name = #n, .operands = (o), .summary = (s), .groups = (g)},
    FF_COMMANDS(X)
#undef X
};

void ff_options_print_help(const char *command, struct ff_strbuf *out)
{
    static const struct {
        unsigned group;
        const char *title;
    } titles[] = {
        {FF_GROUP_RUN, "how to run"},          {FF_GROUP_MODEL, "network"}, {FF_GROUP_MSA, "alignment"},
        {FF_GROUP_SEARCH, "database searches"}, {FF_GROUP_OUTPUT, "results"},
    };
    unsigned groups = 0;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, command) != 0)
            continue;
        groups = commands[i].groups;
        ff_strbuf_printf(out, "usage: fastfold %s%s%s%s\n  %s\n", command, groups ? " [options]" : "",
                         *commands[i].operands ? " " : "", commands[i].operands, commands[i].summary);
    }
    bool any = false;
    for (int i = 0; i < ff_line_option_count; i++) {
        const struct ff_line_option *o = &ff_line_options[i];
        if (ff_option_table_line(o->flag, command) != o)
            continue;
        if (!any)
            ff_strbuf_puts(out, "\nof this command:\n");
        any = true;
        print_flag(0, o->flag, o->metavar, o->help, NULL, out);
    }
    if (groups == 0)
        return;
    struct ff_config defaults;
    struct ff_command_line line;
    if (ff_options_parse(0, NULL, command, &defaults, &line) != FF_OK) {
        ff_strbuf_printf(out, "\n(the defaults cannot be read: %s)\n", ff_status_message());
        return;
    }
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (groups & titles[i].group)
            print_group(titles[i].group, titles[i].title, &defaults, out);
    ff_strbuf_puts(out, "\nconfiguration:\n");
    print_flag(0, "--config", "FILE", "read this YAML file, or a built-in preset; several: later ones win", NULL, out);
    print_flag(0, "--set", "KEY=VALUE", "set any key; fastfold config prints them all, fastfold config --list explains "
                                        "them", NULL, out);
    print_flag('h', "--help", NULL, "this text", NULL, out);
    ff_config_free(&defaults);
    ff_command_line_free(&line);
}

/* --- 2. YAML ------------------------------------------------------------------------------------------------------ */

/* Number of leading sections that two dotted keys share. */
static int shared_sections(const char *a, const char *b)
{
    int n = 0;
    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; i++)
        n += a[i] == '.';
    return n;
}

/* Opens the sections of key that the key before did not have, then "name: ". */
static void print_key(const char *before, const char *key, struct ff_strbuf *out)
{
    int depth = 0, shared = shared_sections(before, key);
    const char *part = key, *dot;
    for (; (dot = strchr(part, '.')) != NULL; part = dot + 1, depth++)
        if (depth >= shared)
            ff_strbuf_printf(out, "%*s%.*s:\n", 2 * depth, "", (int)(dot - part), part);
    ff_strbuf_printf(out, "%*s%s: ", 2 * depth, "", part);
}

void ff_options_to_yaml(const struct ff_config *config, struct ff_strbuf *out)
{
    /* A network that is no preset can only be read back on a base that is one. */
    if (!ff_option_file_is_model(config->model.name))
        ff_strbuf_printf(out, "base: %s\n", config->model.multimer ? "multimer" : "monomer");
    const char *before = "";
    for (int i = 0; i < ff_option_count; i++) {
        const struct ff_option *o = &ff_option_table[i];
        print_key(before, o->key, out);
        ff_option_print(o, config, true, out);
        ff_strbuf_putc(out, '\n');
        before = o->key;
    }
}

/* " predict plan " as "predict, plan". */
static void print_commands(const char *names, struct ff_strbuf *out)
{
    for (bool first = true; *(names += strspn(names, " ")) != '\0'; first = false) {
        int n = (int)strcspn(names, " ");
        ff_strbuf_printf(out, "%s%.*s", first ? "" : ", ", n, names);
        names += n;
    }
}

void ff_options_print_list(const struct ff_config *config, struct ff_strbuf *out)
{
    for (int i = 0; i < ff_option_count; i++) {
        const struct ff_option *o = &ff_option_table[i];
        ff_strbuf_printf(out, "%s\t", o->key);
        if (o->letter != 0)
            ff_strbuf_printf(out, "-%c, ", o->letter);
        ff_strbuf_printf(out, "%s%s%s\t", o->flag != NULL ? o->flag : "", o->flag != NULL && o->metavar ? " " : "",
                         o->flag != NULL && o->metavar ? o->metavar : "");
        ff_option_describe(o, out);
        ff_strbuf_putc(out, '\t');
        ff_option_print(o, config, false, out);
        ff_strbuf_printf(out, "\t%s\n", o->help);
    }
    for (int i = 0; i < ff_option_switch_count; i++) {
        const struct ff_option_switch *s = &ff_option_switches[i];
        ff_strbuf_putc(out, '\t');
        if (s->letter != 0)
            ff_strbuf_printf(out, "-%c, ", s->letter);
        ff_strbuf_printf(out, "%s\tsets %s to %s\t\t%s\n", s->flag, s->key, s->value, s->help);
    }
    for (int i = 0; i < ff_line_option_count; i++) {
        const struct ff_line_option *o = &ff_line_options[i];
        ff_strbuf_printf(out, "\t%s%s%s\tof ", o->flag, o->metavar ? " " : "", o->metavar ? o->metavar : "");
        print_commands(o->commands, out);
        ff_strbuf_printf(out, "\t\t%s\n", o->help);
    }
}
