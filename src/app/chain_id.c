/* SPDX-License-Identifier: Apache-2.0
 * chain_id: names of chains.
 */
#include "app/chain_id.h"

char *ff_chain_id(int number, bool letters, char ret[FF_CHAIN_ID_SIZE])
{
    static const char table[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    int n = 0;
    if (letters && number < FF_CHAIN_LETTERS)
        ret[n++] = table[number];
    else
        for (int k = number; k >= 0; k = k / 26 - 1)
            ret[n++] = (char)('A' + k % 26);
    ret[n] = '\0';
    return ret;
}
