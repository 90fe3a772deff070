#include "api/members.h"

/* clang-format off */

#define STRING(member)             {.name = member, .type = MEMBER_STRING}
#define REQUIRED_STRING(member)    {.name = member, .type = MEMBER_STRING, .required = true}
#define REQUIRED_ID(member)        {.name = member, .type = MEMBER_UUID, .required = true}
#define OPTIONAL_ID(member)        {.name = member, .type = MEMBER_UUID}
#define NEW_ID(member, version)    {.name = member, .type = MEMBER_UUID, .make = version}
#define REQUIRED_TIME(member)      {.name = member, .type = MEMBER_TIMESTAMP, .required = true}
#define TIME(member)               {.name = member, .type = MEMBER_TIMESTAMP}
#define BOOLEAN(member)            {.name = member, .type = MEMBER_BOOLEAN}
#define REQUIRED_BOOLEAN(member)   {.name = member, .type = MEMBER_BOOLEAN, .required = true}
#define NUMBER(member, of)         {.name = member, .type = MEMBER_NUMBER, .unit = of}
#define BETWEEN(member, from, to, of) {.name = member, .type = MEMBER_NUMBER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, \
                                    .minimum = from, .maximum = to, .unit = of}
/* So large that no sum of as many as can be stored overflows. */
#define LARGEST_SUMMAND            1e290
#define SUMMAND(of)                .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .maximum = LARGEST_SUMMAND, .unit = of
#define FROM_ZERO(member, of)      {.name = member, .type = MEMBER_NUMBER, .bounds = MEMBER_AT_LEAST, .unit = of}
/* Trackers always send these, but null for what they could not measure. */
#define MEASURED(member, of)       {.name = member, .type = MEMBER_NUMBER, .required = true, .nullable = true, \
                                    SUMMAND(of)}
#define COUNT(member)              {.name = member, .type = MEMBER_INTEGER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, \
                                    .maximum = 2147483647}
#define EMAIL(member)              {.name = member, .type = MEMBER_EMAIL, .required = true, .bounds = MEMBER_AT_MOST, \
                                    .maximum = 254}
#define PASSWORD(member, shortest) {.name = member, .type = MEMBER_STRING, .required = true, \
                                    .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .minimum = shortest, .maximum = 1024}
#define END                        {0}

static const struct member organization[] = {REQUIRED_STRING("name"), REQUIRED_STRING("description"), END};
static const struct member organization_patch[] = {STRING("name"), STRING("description"), END};
static const struct member team[] = {
    REQUIRED_STRING("name"), REQUIRED_STRING("description"), REQUIRED_ID("organization_id"), END};
static const struct member project[] = {
    REQUIRED_STRING("name"), REQUIRED_STRING("description"), OPTIONAL_ID("organization_id"), OPTIONAL_ID("team_id"), END};
static const struct member project_patch[] = {STRING("name"), STRING("description"), BOOLEAN("public"), END};

static const struct member experiment[] = {
    REQUIRED_STRING("name"),
    REQUIRED_STRING("description"),
    REQUIRED_ID("project_id"),
    TIME("timestamp"),
    STRING("country_name"),
    STRING("country_iso_code"),
    STRING("region"),
    BOOLEAN("on_cloud"),
    STRING("cloud_provider"),
    STRING("cloud_region"),
    END};

static const struct member run[] = {
    NEW_ID("id", id_new_v4),
    REQUIRED_TIME("timestamp"),
    REQUIRED_ID("experiment_id"),
    STRING("os"),
    STRING("python_version"),
    STRING("codecarbon_version"),
    COUNT("cpu_count"),
    STRING("cpu_model"),
    COUNT("gpu_count"),
    STRING("gpu_model"),
    NUMBER("longitude", "degrees"),
    NUMBER("latitude", "degrees"),
    STRING("region"),
    STRING("provider"),
    FROM_ZERO("ram_total_size", "GB"),
    STRING("tracking_mode"),
    COUNT("emissions_dropped"),
    END};

#define EMISSION(id) \
    id, \
    REQUIRED_TIME("timestamp"), \
    REQUIRED_ID("run_id"), \
    {.name = "duration", .type = MEMBER_NUMBER, .required = true, .bounds = MEMBER_ABOVE | MEMBER_AT_MOST, \
     .maximum = LARGEST_SUMMAND, .unit = "s"}, \
    MEASURED("emissions_sum", "kg CO2eq"), \
    MEASURED("emissions_rate", "kg CO2eq/s"), \
    MEASURED("energy_consumed", "kWh"), \
    MEASURED("cpu_power", "W"), \
    MEASURED("gpu_power", "W"), \
    MEASURED("ram_power", "W"), \
    MEASURED("cpu_energy", "kWh"), \
    MEASURED("gpu_energy", "kWh"), \
    MEASURED("ram_energy", "kWh"), \
    BETWEEN("cpu_utilization_percent", 0, 100, "percent"), \
    BETWEEN("gpu_utilization_percent", 0, 100, "percent"), \
    BETWEEN("ram_utilization_percent", 0, 100, "percent"), \
    {.name = "wue", .type = MEMBER_NUMBER, .bounds = MEMBER_AT_LEAST, .fallback = "0", .unit = "L/kWh"}, \
    END

static const struct member emission[] = {EMISSION(NEW_ID("id", id_new_v7))};
/* A batch may be sent again: each of its emissions has its id from the start. */
static const struct member batch_emission[] = {EMISSION(REQUIRED_ID("id"))};

static const struct member project_token[] = {
    {.name = "name", .type = MEMBER_STRING, .fallback = ""},
    {.name = "access", .type = MEMBER_INTEGER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .minimum = 1, .maximum = 3,
     .fallback = "2"},
    END};
static const struct member user_token[] = {
    REQUIRED_STRING("name"),
    {.name = "expires_in_days", .type = MEMBER_INTEGER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .minimum = 1,
     .maximum = 3650},
    END};

static const struct member user[] = {EMAIL("email"), REQUIRED_STRING("name"), PASSWORD("password", 8), END};
/* For signing in, whatever is sent is compared. */
static const struct member credentials[] = {REQUIRED_STRING("email"), PASSWORD("password", 0), END};
static const struct member add_user[] = {EMAIL("email"), END};
static const struct member membership[] = {REQUIRED_BOOLEAN("is_admin"), END};

const struct body body_organization = {"organization", organization, {0}};
const struct body body_organization_patch = {"organization_patch", organization_patch, {0}};
const struct body body_team = {"team", team, {0}};
const struct body body_project = {"project", project, {"organization_id", "team_id"}};
const struct body body_project_patch = {"project_patch", project_patch, {0}};
const struct body body_experiment = {"experiment", experiment, {0}};
const struct body body_run = {"run", run, {0}};
const struct body body_emission = {"emission", emission, {0}};
const struct body body_batch_emission = {"batch_emission", batch_emission, {0}};
const struct body body_project_token = {"project_token", project_token, {0}};
const struct body body_user_token = {"user_token", user_token, {0}};
const struct body body_user = {"user", user, {0}};
const struct body body_credentials = {"credentials", credentials, {0}};
const struct body body_add_user = {"add_user", add_user, {0}};
const struct body body_membership = {"membership", membership, {0}};

const struct body *const bodies[] = {
    &body_organization, &body_organization_patch, &body_team, &body_project, &body_project_patch, &body_experiment,
    &body_run, &body_emission, &body_batch_emission, &body_project_token, &body_user_token, &body_user, &body_credentials, &body_add_user,
    &body_membership, NULL};

const struct member query_range[] = {TIME("start_date"), TIME("end_date"), END};
const struct member query_page[] = {
    {.name = "page", .type = MEMBER_INTEGER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .minimum = 1,
     .maximum = 2147483647, .fallback = "1"},
    {.name = "size", .type = MEMBER_INTEGER, .bounds = MEMBER_AT_LEAST | MEMBER_AT_MOST, .minimum = 1, .maximum = 10000,
     .fallback = "100"},
    {.name = "cursor", .type = MEMBER_CURSOR},
    END};
const struct member query_organization[] = {
    {.name = "organization", .type = MEMBER_UUID, .required = true, .argument = "organization_id"}, END};

/* clang-format on */

const char *member_type_name(enum member_type type) {
    static const char *const names[] = {
        [MEMBER_STRING] = "string",       [MEMBER_EMAIL] = "email",   [MEMBER_UUID] = "uuid",
        [MEMBER_TIMESTAMP] = "timestamp", [MEMBER_NUMBER] = "number", [MEMBER_INTEGER] = "integer",
        [MEMBER_BOOLEAN] = "boolean",     [MEMBER_CURSOR] = "cursor",
    };
    return names[type];
}
