/* SPDX-License-Identifier: Apache-2.0
 * cmd_search: `fastfold search FILE.fasta`: stops after the database searches.
 */
#include "app/batch.h"
#include "app/commands.h"

int ff_cmd_search(int argc, char **argv)
{
    return ff_batch_main(argc, argv, "search", FF_STAGE_SEARCH);
}
