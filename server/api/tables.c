#include "api/tables.h"

#include "api/members.h"
#include "api/routes.h"

#include <math.h>

static void set_number(json_t *object, const char *name, double number) {
    bool whole = number == floor(number) && fabs(number) < 1e15;
    json_object_set_new(object, name, whole ? json_integer((json_int_t)number) : json_real(number));
}

static json_t *member_json(const struct member *member) {
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(member->name));
    json_object_set_new(object, "type", json_string(member_type_name(member->type)));
    json_object_set_new(object, "required", json_boolean(member->required));
    json_object_set_new(object, "nullable", json_boolean(!member->required || member->nullable));
    if (member->bounds & MEMBER_AT_LEAST)
        set_number(object, "minimum", member->minimum);
    if (member->bounds & MEMBER_ABOVE)
        set_number(object, "exclusive_minimum", member->minimum);
    if (member->bounds & MEMBER_AT_MOST)
        set_number(object, "maximum", member->maximum);
    if (member->fallback)
        json_object_set_new(object, "default", json_string(member->fallback));
    if (member->unit)
        json_object_set_new(object, "unit", json_string(member->unit));
    return object;
}

static void append_members(json_t *list, const struct member *members) {
    for (const struct member *member = members; member->name; member++)
        json_array_append_new(list, member_json(member));
}

static json_t *bodies_json(void) {
    json_t *object = json_object();
    for (const struct body *const *body = bodies; *body; body++) {
        json_t *list = json_array();
        append_members(list, (*body)->members);
        json_object_set_new(object, (*body)->name, list);
    }
    return object;
}

static json_t *route_json(const struct api_route *route) {
    json_t *query = json_array();
    for (const struct member *member = route->query; member && member->name; member++)
        json_array_append_new(query, json_string(member->name));
    return json_pack("{s:s,s:s,s:o,s:s?,s:i,s:b}", "method", route->method, "path", route->path, "query",
                     query, "body", route->body ? route->body->name : NULL, "status",
                     route->status ? route->status : 200, "limited", route->class != CLASS_PROBE);
}

json_t *tables_json(void) {
    json_t *routes = json_array(), *query = json_array();
    for (size_t i = 0; i < api_route_count; i++)
        json_array_append_new(routes, route_json(&api_routes[i]));
    append_members(query, query_range);
    append_members(query, query_page);
    append_members(query, query_organization);
    return json_pack("{s:o,s:o,s:o}", "routes", routes, "bodies", bodies_json(), "query", query);
}
