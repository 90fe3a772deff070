/* What the fuzz targets share. A target is a function that gets any bytes, and says what must hold for them beyond that
 * nothing crashes. Built by clang's fuzzer it looks for bytes for which it does not hold; built in any other way it tries
 * the bytes that are kept (replay.c). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Ends the program where a property does not hold: the fuzzer keeps the bytes then. */
#define HOLDS(property) ((property) ? (void)0 : fuzz_fail(#property, __FILE__, __LINE__))

_Noreturn static inline void fuzz_fail(const char *property, const char *file, int line) {
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, property);
    abort();
}

/* Memory of its own for bytes and a NUL, with nothing behind that could be read unnoticed. The caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    HOLDS(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}
