#include "number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* 17 digits say a double exactly. Whole numbers, zeros above all, are common, and cheap. */
size_t number_print(double number, char text[NUMBER_SIZE]) {
    if (number == 0) {
        text[0] = '0';
        return 1;
    }
    int length = snprintf(text, NUMBER_SIZE, "%.17g", number);
    /* Where the program's locale writes a comma. */
    char *comma = memchr(text, ',', (size_t)length);
    if (comma)
        *comma = '.';
    return (size_t)length;
}
