/* SPDX-License-Identifier: Apache-2.0
 * version: texts fixed when the program was built.
 */
#include "app/version.h"

#ifndef FF_VERSION
#error "the Makefile defines FF_VERSION, FF_GIT_VERSION and FF_BUILD_FLAGS for this file"
#endif

const char *ff_version_text(void)
{
    return sizeof FF_GIT_VERSION > 1 ? FF_VERSION " (" FF_GIT_VERSION ")" : FF_VERSION;
}

const char *ff_version_compiler(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *ff_version_flags(void) { return FF_BUILD_FLAGS; }
