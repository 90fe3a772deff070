/* Reads what projects emitted, and keeps the text of it for whoever scrapes. The sums are read, a row a run: where there
 * are so many that this takes long, it is done less often, and never takes more than a small share of the time. */
#include "upkeep/project_totals.h"

#include "base/clock.h"
#include "base/metric.h"
#include "statements.h"
#include "upkeep/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* In the order of the statement's columns, after those of the labels. */
static const struct metric_family families[] = {
    {"carbond_project_emissions_kg_total", "What a project emitted, in kg CO2eq.", METRIC_COUNTER,
     METRIC_NUMBER},
    {"carbond_project_energy_kwh_total", "Energy that a project consumed, in kWh.", METRIC_COUNTER,
     METRIC_NUMBER},
    {"carbond_project_duration_seconds_total", "Time that a project's emissions cover.", METRIC_COUNTER,
     METRIC_NUMBER},
    {"carbond_project_stored_emissions_total", "Emissions of a project that were stored.", METRIC_COUNTER,
     METRIC_NUMBER},
};

enum {
    REST = 15,  /* seconds: as often as Prometheus usually looks */
    SHARE = 20, /* it takes one part of as many of the time */
    FIGURES = sizeof families / sizeof families[0],
    LABELS = 3,
};

/* The samples of each family. */
struct samples {
    struct buffer of[FIGURES];
};

static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER; /* guards `told` */
static struct samples told;

static void free_samples(struct samples *samples) {
    for (size_t i = 0; i < FIGURES; i++)
        buffer_free(&samples->of[i]);
}

static bool add_project(void *context, const struct db_row *row) {
    struct samples *samples = context;
    const struct metric_label labels[LABELS + 1] = {
        {"organization", row->columns[0]}, {"project", row->columns[1]}, {"project_id", row->columns[2]}};
    for (size_t i = 0; i < FIGURES; i++)
        metric_write_text(&samples->of[i], &families[i], labels, row->columns[LABELS + i]);
    return true;
}

static bool have_failed(const struct samples *samples) {
    bool failed = false;
    for (size_t i = 0; i < FIGURES; i++)
        failed |= samples->of[i].failed;
    return failed;
}

/* Takes ownership of the samples. */
static void tell(struct samples *samples) {
    pthread_mutex_lock(&told_lock);
    struct samples before = told;
    told = *samples;
    pthread_mutex_unlock(&told_lock);
    free_samples(&before);
}

static enum upkeep_progress read_totals(const struct upkeep_means *means) {
    struct samples samples = {0};
    char projects[16];
    const char *values[] = {projects};
    snprintf(projects, sizeof projects, "%d", means->metrics_projects);
    if (db_query(means->db, &sql_project_totals, values, add_project, &samples) != DB_OK ||
        have_failed(&samples)) {
        free_samples(&samples);
        return UPKEEP_AGAIN;
    }
    tell(&samples);
    return UPKEEP_DONE;
}

static enum upkeep_progress step(const struct upkeep_means *means, void *memory) {
    int64_t *due = memory, begun = clock_monotonic();
    if (means->metrics_projects == 0 || begun < *due)
        return UPKEEP_DONE;
    enum upkeep_progress progress = read_totals(means);
    *due = progress == UPKEEP_DONE ? begun + SHARE * (clock_monotonic() - begun) : 0;
    return progress;
}

const struct upkeep_job project_totals_job = {"project totals", REST, sizeof(int64_t), step};

void project_totals_write(struct buffer *out) {
    pthread_mutex_lock(&told_lock);
    for (size_t i = 0; i < FIGURES; i++) {
        metric_write_family(out, &families[i]);
        buffer_text(out, told.of[i].data ? told.of[i].data : "");
    }
    pthread_mutex_unlock(&told_lock);
}
