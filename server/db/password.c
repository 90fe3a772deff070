#include "db/password.h"

#include "base/file.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1024 };

static const char *use(char *password, size_t size) {
    size = file_size_without_newline(password, size);
    password[size] = '\0';
    if (size == 0)
        return "it is empty";
    if (strlen(password) != size)
        return "it holds a NUL";
    return setenv("PGPASSWORD", password, 1) == 0 ? NULL : "out of memory";
}

const char *db_password_read(const char *path) {
    char password[LONGEST + 1];
    ssize_t size = file_read(path, password, LONGEST, NULL);
    if (size < 0)
        return strerror(errno);
    const char *problem = use(password, (size_t)size);
    sodium_memzero(password, sizeof password);
    return problem;
}
