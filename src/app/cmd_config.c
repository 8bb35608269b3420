/* SPDX-License-Identifier: Apache-2.0
 * cmd_config: `fastfold config [options]` prints the configuration that the same options give any other command, as
 * YAML that --config reads back equal; --list explains the keys.
 */
#include <stdio.h>

#include "app/commands.h"
#include "app/options.h"
#include "app/version.h"

int ff_cmd_config(int argc, char **argv)
{
    struct ff_config config;
    struct ff_command_line line;
    FF_TRY(ff_options_parse(argc, argv, "config", &config, &line));
    ff_status st = FF_OK;
    struct ff_strbuf out = {0};
    if (line.n_operand > 0)
        st = ff_fail(FF_EUSAGE, "config: found '%s'; expected options only", line.operands[0]);
    else if (line.list)
        ff_options_print_list(&config, &out);
    else {
        ff_strbuf_printf(&out, "# Effective configuration of fastfold %s\n", ff_version_text());
        ff_options_to_yaml(&config, &out);
    }
    fputs(ff_strbuf_cstr(&out), stdout);
    ff_strbuf_free(&out);
    ff_config_free(&config);
    ff_command_line_free(&line);
    return (int)st;
}
