#include "crc32c.h"

#include <pthread.h>

enum { BYTES = 256, AT_ONCE = 8 };

static const uint32_t POLYNOMIAL = 0x82f63b78; /* 0x1EDC6F41 with its bits in reverse */

/* remainders[n][byte]: of a byte that n bytes follow. Eight of them are looked up at once (slicing-by-8): each emission is
 * summed up when it is written, and again by whoever reads it. */
static uint32_t remainders[AT_ONCE][BYTES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void) {
    for (uint32_t byte = 0; byte < BYTES; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
        remainders[0][byte] = sum;
    }
    for (int n = 1; n < AT_ONCE; n++)
        for (uint32_t byte = 0; byte < BYTES; byte++)
            remainders[n][byte] =
                remainders[n - 1][byte] >> 8 ^ remainders[0][remainders[n - 1][byte] & 0xff];
}

static uint32_t add_eight(uint32_t sum, const unsigned char *bytes) {
    uint32_t next = 0;
    for (int i = 0; i < AT_ONCE; i++) {
        unsigned byte = bytes[i] ^ (i < 4 ? sum >> 8 * i & 0xff : 0);
        next ^= remainders[AT_ONCE - 1 - i][byte];
    }
    return next;
}

uint32_t crc32c(const void *data, size_t length) {
    const unsigned char *bytes = data;
    uint32_t sum = UINT32_MAX;
    pthread_once(&once, fill);
    for (; length >= AT_ONCE; length -= AT_ONCE, bytes += AT_ONCE)
        sum = add_eight(sum, bytes);
    while (length-- > 0)
        sum = sum >> 8 ^ remainders[0][(sum ^ *bytes++) & 0xff];
    return ~sum;
}
