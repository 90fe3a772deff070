#include "number.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __SIZEOF_INT128__

/* 17 significant digits say which double it is. An emission has a dozen numbers, so they are made by exact integer
 * arithmetic where 128 bits are enough: from about 1e-11 to 1e16. printf does the rest. */

__extension__ typedef unsigned __int128 u128;

enum { DIGITS = 17, FRACTION_BITS = 52, EXPONENT_BIAS = 1075, POWERS = 28 };

/* Powers of 5. */
static const uint64_t FIVE_TO[POWERS] = {
    UINT64_C(1),
    UINT64_C(5),
    UINT64_C(25),
    UINT64_C(125),
    UINT64_C(625),
    UINT64_C(3125),
    UINT64_C(15625),
    UINT64_C(78125),
    UINT64_C(390625),
    UINT64_C(1953125),
    UINT64_C(9765625),
    UINT64_C(48828125),
    UINT64_C(244140625),
    UINT64_C(1220703125),
    UINT64_C(6103515625),
    UINT64_C(30517578125),
    UINT64_C(152587890625),
    UINT64_C(762939453125),
    UINT64_C(3814697265625),
    UINT64_C(19073486328125),
    UINT64_C(95367431640625),
    UINT64_C(476837158203125),
    UINT64_C(2384185791015625),
    UINT64_C(11920928955078125),
    UINT64_C(59604644775390625),
    UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625),
    UINT64_C(7450580596923828125),
};
static const uint64_t TEN_TO_17 = UINT64_C(100000000000000000);

/* significand * 2^exponent * 10^power, rounded to the nearest whole number, half to even. False where it takes more than
 * 128 bits. */
static bool scale(uint64_t significand, int exponent, int power, uint64_t *scaled) {
    int shift = -(exponent + power); /* 10^power is 5^power * 2^power */
    if (power < 0 || power >= POWERS || shift < 1 || shift > 127)
        return false;
    u128 product = (u128)significand * FIVE_TO[power];
    u128 rest = product & (((u128)1 << shift) - 1), half = (u128)1 << (shift - 1);
    uint64_t whole = (uint64_t)(product >> shift);
    *scaled = whole + (rest > half || (rest == half && (whole & 1) != 0));
    return true;
}

/* Finds the 17 digits, as a number, and the power of ten of the first one. */
static bool find_digits(double number, uint64_t *digits, int *power_of_ten) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    int exponent = (int)(bits >> FRACTION_BITS); /* with the sign: a negative number finds no power */
    if (exponent == 0)
        return false;
    uint64_t significand = (bits & ((UINT64_C(1) << FRACTION_BITS) - 1)) | UINT64_C(1) << FRACTION_BITS;
    exponent -= EXPONENT_BIAS;
    /* log10(2) is 0.30103: the guess is the power of ten of the first digit, or one less. */
    double guess = (exponent + FRACTION_BITS) * 0.30102999566398120;
    int power = (int)guess - (guess < (int)guess);
    if (!scale(significand, exponent, DIGITS - 1 - power, digits))
        return false;
    if (*digits >= TEN_TO_17 && !scale(significand, exponent, DIGITS - 1 - ++power, digits))
        return false;
    *power_of_ten = power;
    return true;
}

static size_t print_digits(uint64_t digits, int power, char *text) {
    char figures[DIGITS];
    for (int i = DIGITS - 1; i >= 0; i--, digits /= 10)
        figures[i] = (char)('0' + digits % 10);
    int count = DIGITS;
    while (count > 1 && figures[count - 1] == '0')
        count--;
    /* 23.44 has two digits before the point; 0.0000019 is written as 1.9e-6. */
    int before = power >= 0 ? power + 1 : 1;
    char *at = text;
    for (int i = 0; i < before || i < count; i++) {
        if (i == before)
            *at++ = '.';
        *at++ = i < count ? figures[i] : '0';
    }
    if (power < 0)
        at += snprintf(at, NUMBER_SIZE - (size_t)(at - text), "e%d", power);
    return (size_t)(at - text);
}

/* 0 where that takes more than 128 bits. */
static size_t print_quickly(double number, char *text) {
    uint64_t digits;
    int power;
    return find_digits(number, &digits, &power) ? print_digits(digits, power, text) : 0;
}

#else /* a machine of 32 bits */

static size_t print_quickly(double number, char *text) {
    (void)number;
    (void)text;
    return 0;
}

#endif

size_t number_print(double number, char text[NUMBER_SIZE]) {
    if (number == 0) {
        text[0] = '0';
        return 1;
    }
    size_t printed = print_quickly(number, text);
    if (printed > 0)
        return printed;
    int length = snprintf(text, NUMBER_SIZE, "%.17g", number);
    /* Where the program's locale writes a comma. */
    char *comma = memchr(text, ',', (size_t)length);
    if (comma)
        *comma = '.';
    return (size_t)length;
}
