/* Small files, read whole: keys, certificates, what the kernel tells in /proc. */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

/* Reads the file into `room` bytes. Returns its size, or -1 with errno; EFBIG is a file that does not fit. `about`, if
 * not NULL, is what stat tells of the very file that was read. Blocks as the disk does. */
ssize_t file_read(const char *path, void *bytes, size_t room, struct stat *about);

/* Editors and shells end a file with a newline that is no part of the secret in it. */
size_t file_size_without_newline(const void *bytes, size_t size);
