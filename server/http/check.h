/* What libmicrohttpd lets pass and we do not: requests whose end two programs could see in different places (request
 * smuggling), or whose host is unclear. */
#pragma once

struct http_request;

/* NULL, or a sentence that says why the request's head is no good (400). `target` (up to a question mark) and `version` as
 * libmicrohttpd tells them: HTTP/1.0 needs no Host. */
const char *check_headers(const struct http_request *request, const char *target, const char *version);
