/* Numbers as JSON text that reads back as the very same double. */
#pragma once

#include <stddef.h>

enum { NUMBER_SIZE = 32 };

/* Writes a finite number, without a NUL, by any locale; returns its length. */
size_t number_print(double number, char text[NUMBER_SIZE]);
