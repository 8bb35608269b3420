/* SPDX-License-Identifier: Apache-2.0
 * cmd_features: `fastfold features FILE.fasta`: stops at features.npz, which `fastfold predict --features` starts from.
 */
#include "app/batch.h"
#include "app/commands.h"

int ff_cmd_features(int argc, char **argv)
{
    return ff_batch_main(argc, argv, "features", FF_STAGE_FEATURES);
}
