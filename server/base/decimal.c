#include "base/decimal.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

/* One operation on two exact numbers has a result that is rounded once (W. D. Clinger, How to read floating point numbers
 * accurately, 1990). A long double of x86 holds any 64 bits and powers of ten up to 10^27 exactly. Its result is rounded
 * again to a double's 53 bits; that is right unless the 11 bits that go stand so near to one half that the first rounding
 * may have crossed it. (Valgrind computes long doubles with 53 bits: there the last bit may be off.) Elsewhere a double has
 * to do, which holds 53 bits and powers up to 10^22. */

#if defined(__x86_64__) && LDBL_MANT_DIG == 64

enum { LARGEST_POWER = 27, LOST_BITS = 0x7ff, HALF = 0x400 };

typedef long double wide;

static bool round_to_double(wide result, double *value) {
    uint64_t mantissa;
    memcpy(&mantissa, &result, sizeof mantissa);
    int lost = (int)(mantissa & LOST_BITS);
    *value = (double)result;
    return lost < HALF - 1 || lost > HALF + 1;
}

static bool is_exact(uint64_t digits) {
    (void)digits;
    return true;
}

#else

enum { LARGEST_POWER = 22 };

typedef double wide;

static bool round_to_double(wide result, double *value) {
    *value = result;
    return true;
}

static bool is_exact(uint64_t digits) {
    return digits >> DBL_MANT_DIG == 0;
}

#endif

bool decimal_to_double(uint64_t digits, int exponent, double *value) {
    static const wide powers[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                  1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                  1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    if (!is_exact(digits) || exponent < -LARGEST_POWER || exponent > LARGEST_POWER)
        return false;
    wide number = (wide)digits;
    return round_to_double(exponent < 0 ? number / powers[-exponent] : number * powers[exponent], value);
}
