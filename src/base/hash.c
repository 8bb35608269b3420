/* SPDX-License-Identifier: Apache-2.0
 * hash: FNV-1a, the splitmix64 finaliser and SHA-256 (FIPS 180-4).
 */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

uint64_t ff_hash_fnv1a(const void *data, uint64_t len)
{
    const uint8_t *p = data;
    uint64_t h = 0xCBF29CE484222325u;
    for (uint64_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}

/* ---- SHA-256 ---- */

enum { BLOCK = 64 };

struct sha256 {
    uint32_t h[8];
    uint64_t total;              /* bytes taken so far */
    uint8_t rest[BLOCK];         /* the total % BLOCK bytes that do not fill a block */
};

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
                      round_constant[i] + w[i];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

static void sha256_init(struct sha256 *c)
{
    *c = (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
                               0x5be0cd19}};
}

static void sha256_update(struct sha256 *c, const uint8_t *p, uint64_t len)
{
    size_t have = (size_t)(c->total % BLOCK);
    c->total += len;
    if (have > 0) {
        size_t take = len < BLOCK - have ? (size_t)len : BLOCK - have;
        memcpy(c->rest + have, p, take);
        p += take;
        len -= take;
        if (have + take < BLOCK)
            return;
        sha256_block(c->h, c->rest);
    }
    for (; len >= BLOCK; p += BLOCK, len -= BLOCK)
        sha256_block(c->h, p);
    if (len > 0)
        memcpy(c->rest, p, (size_t)len);
}

static void sha256_hex(struct sha256 *c, char out[65])
{
    static const uint8_t padding[BLOCK] = {0x80};
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = c->total * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    size_t have = (size_t)(c->total % BLOCK);
    sha256_update(c, padding, have < 56 ? 56 - have : 120 - have);
    sha256_update(c, length, sizeof length);
    for (int i = 0; i < 64; i++)
        out[i] = digits[c->h[i / 8] >> (28 - 4 * (i % 8)) & 15];
    out[64] = '\0';
}

void ff_hash_sha256_hex(const void *data, uint64_t len, char out[65])
{
    struct sha256 c;
    sha256_init(&c);
    if (len > 0)
        sha256_update(&c, data, len);
    sha256_hex(&c, out);
}

ff_status ff_hash_sha256_file(const char *path, char out[65])
{
    enum { PIECE = 1 << 18 };
    out[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ff_fail_errno(errno == ENOENT || errno == ENOTDIR ? FF_EMISSING : FF_EIO, "%s: cannot open", path);
    struct sha256 c;
    sha256_init(&c);
    uint8_t *buf = ff_xmalloc(PIECE);
    ff_status st = FF_OK;
    for (;;) {
        ssize_t n = read(fd, buf, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            st = ff_fail_errno(FF_EIO, "%s: cannot read", path);
        if (n <= 0)
            break;
        sha256_update(&c, buf, (uint64_t)n);
    }
    free(buf);
    close(fd);
    if (st == FF_OK)
        sha256_hex(&c, out);
    return st;
}
