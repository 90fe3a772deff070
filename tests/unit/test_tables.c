/* The tables agree with each other: what a statement names, its route can give. */
#include "unit.h"

#include "api/arguments.h"
#include "api/routes.h"
#include "db/migrate.h"
#include "http/route.h"

#include <ctype.h>

static bool gives(const struct member *member, const char *name) {
    if (member->type == MEMBER_CURSOR)
        return strcmp(name, "cursor_timestamp") == 0 || strcmp(name, "cursor_id") == 0;
    return strcmp(member->argument ? member->argument : member->name, name) == 0;
}

static bool in_members(const struct member *members, const char *name) {
    for (const struct member *member = members; member && member->name; member++)
        if (gives(member, name))
            return true;
    return false;
}

static bool in_path(const char *path, const char *name) {
    char capture[64];
    snprintf(capture, sizeof capture, "{%s}", name);
    return strstr(path, capture) != NULL;
}

/* What every call has, what api/tokens.c adds, and the id that only the command line may choose. */
static bool is_made(const struct api_route *route, const char *name) {
    static const char *const made[] = {"token_hash", "password_hash", "id"};
    for (size_t i = 0; route->prepare && i < COUNT(made); i++)
        if (strcmp(name, made[i]) == 0)
            return true;
    return strcmp(name, "caller") == 0 || strcmp(name, "address") == 0;
}

static bool has_source(const struct api_route *route, const char *name) {
    return in_path(route->path, name) || in_members(route->query, name) || is_made(route, name) ||
           (route->body && in_members(route->body->members, name));
}

static void test_parameters_have_sources(void **state) {
    (void)state;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        assert_true(route->statement || route->handle);
        for (int k = 0; route->statement && k < route->statement->parameter_count; k++)
            if (!has_source(route, route->statement->parameters[k]))
                fail_msg("%s %s: nothing gives :%s", route->method, route->path,
                         route->statement->parameters[k]);
    }
}

static void test_targets_are_arguments(void **state) {
    (void)state;
    for (size_t i = 0; i < api_route_count; i++)
        for (size_t k = 0; k < COUNT(api_routes[i].of) && api_routes[i].of[k]; k++) {
            assert_true(has_source(&api_routes[i], api_routes[i].of[k]));
            assert_string_equal(strrchr(api_routes[i].of[k], '_'), "_id");
        }
}

/* Nobody but readers gets so far without credentials as to be told that an id exists. */
static void test_writes_want_credentials(void **state) {
    (void)state;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        if (strcmp(route->method, "GET") != 0 && route->of[0])
            assert_false(route->admits & ADMITS_NOBODY);
    }
}

/* Words of SQL, which stand in lower case in all statements. */
static void test_what_a_replica_answers_changes_nothing(void **state) {
    (void)state;
    static const char *const changes[] = {"insert into ", "update ", "delete from ", "for share", "nextval("};
    size_t count = 0;
    for (size_t i = 0; i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        if (!route->replica)
            continue;
        count++;
        assert_string_equal(route->method, "GET");
        assert_null(route->handle);
        for (size_t k = 0; k < COUNT(changes); k++)
            assert_null(strstr(route->statement->text, changes[k]));
    }
    assert_true(count > 0);
}

static void test_arguments_fit(void **state) {
    (void)state;
    for (const struct body *const *body = bodies; *body; body++) {
        size_t count = 0;
        while ((*body)->members[count].name)
            count++;
        assert_true(count + HTTP_CAPTURES + 8 < ARGUMENTS);
    }
}

static void test_every_route_is_found(void **state) {
    (void)state;
    struct http_route *routes = api_http_routes();
    assert_non_null(routes);
    struct http_router *router = http_router_new(routes, api_route_count);
    assert_non_null(router);
    for (size_t i = 0; i < api_route_count; i++) {
        struct http_url url;
        struct http_match match;
        char path[128];
        size_t length = 0;
        for (const char *c = api_routes[i].path; *c; c++) /* {project_id} stands for itself */
            if (*c != '{' && *c != '}')
                path[length++] = *c;
        path[length] = '\0';
        assert_int_equal(http_url_parse(&url, path), HTTP_URL_OK);
        assert_int_equal(http_router_find(router, api_routes[i].method, &url, &match), HTTP_FOUND);
        assert_ptr_equal(match.route->data, &api_routes[i]);
        http_url_free(&url);
    }
    http_router_free(router);
    free(routes);
}

static void test_migrations_are_numbered(void **state) {
    (void)state;
    int expected = 1;
    for (const struct migration *m = migrations; m->version; m++)
        assert_int_equal(m->version, expected++);
    assert_int_equal(migrate_version_wanted(), expected - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_have_sources),
        cmocka_unit_test(test_targets_are_arguments),
        cmocka_unit_test(test_writes_want_credentials),
        cmocka_unit_test(test_arguments_fit),
        cmocka_unit_test(test_what_a_replica_answers_changes_nothing),
        cmocka_unit_test(test_every_route_is_found),
        cmocka_unit_test(test_migrations_are_numbered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
