/* SPDX-License-Identifier: Apache-2.0
 * suggest: edit distance with swaps of neighbours (optimal string alignment).
 */
#include "app/suggest.h"

#include <string.h>

enum { MAX_WORD = 63 };

static int least(int a, int b) { return a < b ? a : b; }

int ff_suggest_distance(const char *a, const char *b)
{
    int rows[3][MAX_WORD + 1];
    int na = (int)strnlen(a, MAX_WORD), nb = (int)strnlen(b, MAX_WORD);
    for (int j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (int i = 1; i <= na; i++) {
        int *now = rows[i % 3], *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replace = one[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = least(replace, least(one[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], two[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

void ff_suggest_try(struct ff_suggest *s, const char *candidate)
{
    /* A third of the letters may be wrong: more, and the suggestion would puzzle more than it helps. */
    int allowed = 1 + (int)strlen(s->given) / 3;
    int d = ff_suggest_distance(s->given, candidate);
    const char *dot = strrchr(candidate, '.');
    if (dot != NULL && strchr(s->given, '.') == NULL)
        d = least(d, ff_suggest_distance(s->given, dot + 1));
    if (d <= allowed && (s->best == NULL || d < s->distance)) {
        s->best = candidate;
        s->distance = d;
    }
}
