/* The least that POST /emissions can cost: the server's own HTTP, which reads each emission and answers 201 with an id at
 * once, storing nothing. What the real server achieves is compared with it.
 *
 *     bench_parse_only HOST:PORT
 */
#include "api/emission_reader.h"
#include "base/log.h"
#include "http/reply.h"
#include "http/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum {
    BODY_LIMIT = 64 * 1024,
    BODY_MEMORY = 64 * 1024 * 1024,
    CONNECTION_LIMIT = 1024,
    IDLE_TIMEOUT = 60,   /* seconds */
    LAST_ANSWERS = 1000, /* milliseconds */
};

static void answer(struct http_request *request, void *context) {
    const struct emission_reader *reader = context;
    struct emission emission;
    bool has_id;
    struct buffer body = {0};
    char id[ID_TEXT_SIZE];
    size_t size;
    const char *text = http_request_body(request, &size);
    if (!emission_read(reader, text, size, &emission, &has_id)) {
        http_reply_error(request, 422, "That is no emission");
        return;
    }
    id_format(&emission.id, id);
    buffer_char(&body, '"');
    buffer_text(&body, id);
    buffer_char(&body, '"');
    http_reply_buffer(request, 201, HTTP_JSON, &body);
}

static void serve(struct http_server *server) {
    sigset_t ends;
    int received;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    if (!http_server_start(server))
        return;
    log_info("listening", "address", http_server_address(server));
    sigwait(&ends, &received);
    http_server_finish(server, LAST_ANSWERS);
}

int main(int count, char **arguments) {
    static const struct http_route route = {
        .method = "POST",
        .pattern = "/emissions",
        .body = HTTP_BODY_JSON,
        .body_limit = BODY_LIMIT,
        .lane = HTTP_LANE_INLINE,
        .handle = answer,
    };
    struct http_server_settings settings = {
        .option = "HOST:PORT",
        .connection_limit = CONNECTION_LIMIT,
        .idle_timeout = IDLE_TIMEOUT,
        .body_memory = BODY_MEMORY,
    };
    struct emission_reader reader;
    if (count != 2) {
        log_error("usage: bench_parse_only HOST:PORT");
        return EXIT_FAILURE;
    }
    settings.listen = arguments[1];
    emission_reader_init(&reader, &body_emission);
    struct http_server *server = http_server_new(&settings, &route, 1, &reader);
    if (!server) {
        log_error("out of memory");
        return EXIT_FAILURE;
    }
    serve(server);
    http_server_free(server);
    return EXIT_SUCCESS;
}
