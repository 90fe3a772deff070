#include "transport.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REPLY_MOST = 1024 * 1024, /* a batch's answer lists 100 rejections at most: a tenth of this */
    SOCKETS = 32,
    POLL_FAILED = 10000, /* us */
    SLOWEST = 64,        /* bytes a second: what is slower has stalled */
    WHOLE_REQUEST = 10,  /* times the stall timeout: the most that one may take */
};

struct channel {
    CURL *easy;
    struct curl_slist *headers;
    bool busy, ended;
    CURLcode result;
    char *body;
    size_t length, size;
    char problem[CURL_ERROR_SIZE];
};

struct transport {
    CURLM *multi;
    const carbond_options *options;
    struct channel channels[LANES];
    int sockets[SOCKETS]; /* the open ones, for transport_forget; -1: none */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode initialized;

static void initialize(void) {
    initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* -- sockets --------------------------------------------------------------------------------------------------------------- */

static void exchange_socket(struct transport *transport, int before, int after) {
    for (size_t i = 0; i < SOCKETS; i++) {
        if (transport->sockets[i] == before) {
            transport->sockets[i] = after;
            return;
        }
    }
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        exchange_socket(context, -1, fd);
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int close_socket(void *context, curl_socket_t fd) {
    exchange_socket(context, fd, -1);
    return close(fd);
}

/* -- one lane's requests --------------------------------------------------------------------------------------------------- */

static size_t receive(char *data, size_t one, size_t length, void *context) {
    (void)one;
    struct channel *channel = context;
    if (channel->length + length > REPLY_MOST)
        return 0;
    if (channel->length + length > channel->size) {
        size_t size = (channel->length + length) * 2;
        char *body = realloc(channel->body, size);
        if (!body)
            return 0;
        channel->body = body;
        channel->size = size;
    }
    memcpy(channel->body + channel->length, data, length);
    channel->length += length;
    return length;
}

static bool prepare_channel(struct transport *transport, struct channel *channel) {
    const carbond_options *options = transport->options;
    CURL *easy = channel->easy = curl_easy_init();
    if (!easy)
        return false;
    long stall = (long)((options->stall_timeout + 999) / 1000);
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_POST, 1},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1}, /* whoever closes does not wait for a name server */
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout},
        {CURLOPT_LOW_SPEED_LIMIT, SLOWEST},
        {CURLOPT_LOW_SPEED_TIME, stall},
        {CURLOPT_TIMEOUT_MS, (long)(options->connect_timeout + WHOLE_REQUEST * options->stall_timeout)},
    };
    CURLcode code = CURLE_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && code == CURLE_OK; i++)
        code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
    const struct {
        CURLoption option;
        const void *value;
    } pointers[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https"},   {CURLOPT_USERAGENT, "libcarbond/" CARBOND_VERSION},
        {CURLOPT_ERRORBUFFER, channel->problem}, {CURLOPT_WRITEDATA, channel},
        {CURLOPT_OPENSOCKETDATA, transport},     {CURLOPT_CLOSESOCKETDATA, transport},
        {CURLOPT_CAINFO, options->ca_file},
    };
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers && code == CURLE_OK; i++)
        if (pointers[i].value)
            code = curl_easy_setopt(easy, pointers[i].option, pointers[i].value);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    return code == CURLE_OK;
}

static bool add_header(struct channel *channel, const char *name, const char *value) {
    char *line = NULL;
    if (asprintf(&line, "%s:%s%s", name, *value ? " " : "", value) < 0)
        return false;
    struct curl_slist *longer = curl_slist_append(channel->headers, line);
    free(line);
    if (longer)
        channel->headers = longer;
    return longer != NULL;
}

static bool set_headers(struct channel *channel, const struct request *request) {
    curl_slist_free_all(channel->headers);
    channel->headers = NULL;
    return add_header(channel, "Content-Type", request->type) &&
           add_header(channel, "Expect",
                      "") && /* no question whether a large body may come: one more round trip */
           (!request->is_gzip || add_header(channel, "Content-Encoding", "gzip")) &&
           (!request->token || add_header(channel, "x-api-token", request->token)) &&
           curl_easy_setopt(channel->easy, CURLOPT_HTTPHEADER, channel->headers) == CURLE_OK;
}

static bool set_url(struct transport *transport, struct channel *channel, const char *path) {
    char *url = NULL;
    if (asprintf(&url, "%s%s", transport->options->url, path) < 0)
        return false;
    CURLcode code = curl_easy_setopt(channel->easy, CURLOPT_URL, url);
    free(url);
    return code == CURLE_OK;
}

bool transport_post(struct transport *transport, unsigned lane, const struct request *request) {
    struct channel *channel = &transport->channels[lane];
    channel->length = 0;
    channel->problem[0] = '\0';
    if (!set_url(transport, channel, request->path) || !set_headers(channel, request) ||
        curl_easy_setopt(channel->easy, CURLOPT_POSTFIELDS, request->body) != CURLE_OK ||
        curl_easy_setopt(channel->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length) !=
            CURLE_OK ||
        curl_multi_add_handle(transport->multi, channel->easy) != CURLM_OK)
        return false;
    channel->busy = true;
    channel->ended = false;
    return true;
}

static void note_ends(struct transport *transport) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(transport->multi, &left));) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            struct channel *channel = &transport->channels[lane];
            if (message->msg != CURLMSG_DONE || message->easy_handle != channel->easy)
                continue;
            channel->result = message->data.result;
            channel->ended = true;
        }
    }
}

void transport_work(struct transport *transport, int timeout) {
    int running;
    curl_multi_perform(transport->multi, &running);
    note_ends(transport);
    for (unsigned lane = 0; lane < LANES; lane++)
        if (transport->channels[lane].ended)
            timeout = 0;
    if (curl_multi_poll(transport->multi, NULL, 0, timeout, NULL) != CURLM_OK)
        usleep(POLL_FAILED); /* out of memory, say: not at full speed */
    curl_multi_perform(transport->multi, &running);
    note_ends(transport);
}

bool transport_take(struct transport *transport, unsigned lane, struct reply *reply) {
    struct channel *channel = &transport->channels[lane];
    if (!channel->busy || !channel->ended)
        return false;
    long status = 0;
    curl_off_t retry_after = 0;
    if (channel->result == CURLE_OK) {
        curl_easy_getinfo(channel->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(channel->easy, CURLINFO_RETRY_AFTER, &retry_after);
    }
    curl_multi_remove_handle(transport->multi, channel->easy);
    channel->busy = channel->ended = false;
    *reply = (struct reply){
        .status = (int)status,
        .body = channel->body,
        .length = channel->length,
        .retry_after = retry_after < 0           ? 0
                       : retry_after > INT32_MAX ? INT64_C(1000) * INT32_MAX
                                                 : retry_after * 1000,
        .problem = channel->problem[0] ? channel->problem : curl_easy_strerror(channel->result),
    };
    return true;
}

void transport_wake(struct transport *transport) {
    curl_multi_wakeup(transport->multi);
}

/* -- its life -------------------------------------------------------------------------------------------------------------- */

struct transport *transport_new(const carbond_options *options) {
    pthread_once(&once, initialize);
    struct transport *transport = initialized == CURLE_OK ? calloc(1, sizeof *transport) : NULL;
    if (!transport)
        return NULL;
    transport->options = options;
    for (size_t i = 0; i < SOCKETS; i++)
        transport->sockets[i] = -1;
    transport->multi = curl_multi_init();
    bool good = transport->multi &&
                curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, (long)LANES) == CURLM_OK;
    for (unsigned lane = 0; good && lane < LANES; lane++)
        good = prepare_channel(transport, &transport->channels[lane]);
    if (good)
        return transport;
    transport_free(transport);
    return NULL;
}

void transport_free(struct transport *transport) {
    if (!transport)
        return;
    for (unsigned lane = 0; lane < LANES; lane++) {
        struct channel *channel = &transport->channels[lane];
        if (channel->busy)
            curl_multi_remove_handle(transport->multi, channel->easy);
        curl_easy_cleanup(channel->easy);
        curl_slist_free_all(channel->headers);
        free(channel->body);
    }
    curl_multi_cleanup(transport->multi);
    free(transport);
}

void transport_forget(struct transport *transport) {
    for (size_t i = 0; i < SOCKETS; i++)
        if (transport->sockets[i] >= 0)
            close(transport->sockets[i]);
}
