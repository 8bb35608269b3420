/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/identifiers.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bio/lines.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Length of the run of letters and digits at p. */
static size_t alnum_run(const char *p, const char *end)
{
    const char *q = p;
    while (q < end && is_alnum(*q))
        q++;
    return (size_t)(q - p);
}

char *ff_identifiers_species(const char *description, char ret[FF_SPECIES_SIZE])
{
    const char *p = description, *word;
    size_t len;
    ret[0] = '\0';
    if (!ff_lines_word(&p, description + strlen(description), &word, &len))
        return ret;
    const char *slash = memchr(word, '/', len);
    const char *end = slash ? slash : word + len;

    p = word;
    if (end - p < 3 || (memcmp(p, "tr|", 3) != 0 && memcmp(p, "sp|", 3) != 0))
        return ret;
    p += 3;
    size_t run = alnum_run(p, end); /* accession, perhaps with an isoform */
    if (run < 6 || run > 10)
        return ret;
    p += run;
    if (end - p >= 2 && p[0] == '_' && is_digit(p[1]))
        p += 2;
    if (p == end || *p++ != '|')
        return ret;
    run = alnum_run(p, end); /* entry name, perhaps with a number that small BFD adds */
    p += run;
    if (run == 0 || p == end || *p++ != '_')
        return ret;
    run = alnum_run(p, end);
    if (run < 1 || run >= FF_SPECIES_SIZE)
        return ret;
    const char *species = p;
    p += run;
    if (p < end) {
        if (*p++ != '_' || p == end)
            return ret;
        while (p < end && is_digit(*p))
            p++;
        if (p < end)
            return ret;
    }
    memcpy(ret, species, run);
    ret[run] = '\0';
    return ret;
}
