/* SPDX-License-Identifier: Apache-2.0
 * cmd_version: `fastfold version`: version, compiler, flags and backends of this program.
 */
#include <stdio.h>

#include "app/commands.h"
#include "app/version.h"
#include "base/status.h"
#include "compute/backend.h"

static void print_line(void *user, const char *text)
{
    (void)user;
    printf("%s\n", text);
}

int ff_cmd_version(int argc, char **argv)
{
    if (argc > 0)
        return (int)ff_fail(FF_EUSAGE, "version: found '%s'; expected nothing", argv[0]);
    printf("fastfold %s\n", ff_version_text());
    printf("built with %s, %s\n", ff_version_compiler(), ff_version_flags());
    ff_backend_describe(print_line, NULL);
    return FF_OK;
}
