#include "carbond.h"

#include <stddef.h>

static const struct {
    const char *sentence;
    int retryable;
} CODES[] = {
    [CARBOND_OK] = {"All is well", 0},
    [CARBOND_INVALID] = {"An argument is not as it should be", 0},
    [CARBOND_FULL] = {"There is no room for more", 1},
    [CARBOND_NOT_DURABLE] = {"Accepted, but in memory alone: the disk refuses it", 0},
    [CARBOND_TIMEOUT] = {"The time was over before all was acknowledged", 1},
    [CARBOND_NO_MEMORY] = {"Out of memory", 1},
    [CARBOND_CONFIG] = {"An option is missing or wrong: the log tells which", 0},
    [CARBOND_SYSTEM] = {"The system refuses a thread or the like", 1},
    [CARBOND_LOST] = {"Not all that was accepted could be written down", 0},
};

static int is_known(int code) {
    return code >= 0 && (size_t)code < sizeof CODES / sizeof *CODES;
}

const char *carbond_strerror(int code) {
    return is_known(code) ? CODES[code].sentence : "No such code";
}

int carbond_is_retryable(int code) {
    return is_known(code) && CODES[code].retryable;
}

const char *carbond_version(void) {
    return CARBOND_VERSION;
}
