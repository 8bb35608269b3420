/* SPDX-License-Identifier: Apache-2.0
 * version: what this program is and how it was built. The build gives version.c the numbers, and it alone.
 */
#ifndef FF_APP_VERSION_H
#define FF_APP_VERSION_H

const char *ff_version_text(void);           /* "0.1.0", or "0.1.0 (a1b2c3d)" from a git tree */
const char *ff_version_compiler(void);       /* "gcc 12.2.0" */
const char *ff_version_flags(void);          /* "-O2 -g" */

#endif
