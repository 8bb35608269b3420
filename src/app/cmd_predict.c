/* SPDX-License-Identifier: Apache-2.0
 * cmd_predict: `fastfold predict FILE.fasta`: the whole way from sequences to structures.
 */
#include "app/batch.h"
#include "app/commands.h"

int ff_cmd_predict(int argc, char **argv)
{
    return ff_batch_main(argc, argv, "predict", FF_STAGE_PREDICT);
}
