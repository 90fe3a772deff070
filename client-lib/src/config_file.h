/* CodeCarbon's configuration file: an ini file with a section [codecarbon], as Python's configparser reads it. */
#pragma once

#include <stdbool.h>

/* Calls `visit` for each `key = value` of the section [codecarbon]: both without the blanks around them, valid during the
 * call; the key in lower case. Lines that are nothing of the kind are passed over. False when the file can't be read:
 * errno tells. */
bool config_file_read(const char *path, void (*visit)(void *context, const char *key, const char *value),
                      void *context);
