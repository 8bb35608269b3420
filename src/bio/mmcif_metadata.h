/* SPDX-License-Identifier: Apache-2.0
 * mmcif_metadata: the categories of a predicted structure's mmCIF text that say where it comes from: ModelCIF version,
 * terms of use, authors, citation, software, protocol, quality metrics. Source: AlphaFold common/mmcif_metadata.py.
 */
#ifndef FF_BIO_MMCIF_METADATA_H
#define FF_BIO_MMCIF_METADATA_H

#include "bio/cif_writer.h"
#include "bio/mmcif_write.h"

/* What stands before the lists of target entities: conformity, usage, authors, citation, data. */
void ff_mmcif_metadata_head(struct ff_cif_writer *w, const struct ff_mmcif_options *opt);
/* What stands behind them: model, software, protocol, metrics. mean_plddt is the value of the global metric. */
void ff_mmcif_metadata_tail(struct ff_cif_writer *w, const struct ff_mmcif_options *opt, double mean_plddt);

#endif
