#include "session.h"

#include <inttypes.h>

static void tell(void *user, int level, const char *message) {
    const char *program = user;
    (void)level;
    fprintf(stderr, "%s: %s\n", program, message);
}

static const char *const WHY[] = {
    [CARBOND_LINK_IDLE] = "nothing has been sent yet",
    [CARBOND_LINK_UP] = "the server has not answered all of it yet",
    [CARBOND_LINK_DOWN] = "the server can't be reached, or asks to come later",
    [CARBOND_LINK_UNAUTHORIZED] = "the server refuses the token",
    [CARBOND_LINK_STRANGE] = "what answers there is no server that it knows",
};

carbond_client *session_open(struct arguments *arguments, const char *program) {
    carbond_options *options = &arguments->options;
    carbond_client *client;
    options->adopt_all = arguments->any_url;
    options->log = tell;
    options->log_user = (void *)program;
    options->log_level = arguments->verbose ? CARBOND_LOG_DEBUG : CARBOND_LOG_WARNING;
    int code = carbond_open(options, &client);
    if (code == CARBOND_OK)
        return client;
    if (code != CARBOND_CONFIG) /* of which the log has told */
        fprintf(stderr, "%s: %s\n", program, carbond_strerror(code));
    return NULL;
}

int session_end(carbond_client *client, const struct arguments *arguments, const char *program) {
    carbond_stats stats;
    int flushed = arguments->wait > 0 ? carbond_flush(client, (int64_t)(arguments->wait * 1000)) : CARBOND_OK;
    carbond_get_stats(client, &stats, sizeof stats);
    if (carbond_close(client) != CARBOND_OK)
        return EXIT_FAILED; /* of which the log has told */
    if (stats.rejected > 0 || stats.dropped > 0 || stats.lost > 0) {
        fprintf(stderr, "%s: %" PRIu64 " rejected, %" PRIu64 " dropped, %" PRIu64 " lost\n", program,
                stats.rejected, stats.dropped, stats.lost);
        return EXIT_FAILED;
    }
    if (flushed == CARBOND_OK)
        return EXIT_DONE;
    fprintf(stderr, "%s: %s; what is left stays in the spool\n", program, WHY[stats.link]);
    return EXIT_LATER;
}
