#include "ingest/emission.h"

#include <string.h>

const char *const emission_number_names[EMISSION_NUMBERS] = {
    [EMISSION_DURATION] = "duration",
    [EMISSION_SUM] = "emissions_sum",
    [EMISSION_RATE] = "emissions_rate",
    [EMISSION_CPU_POWER] = "cpu_power",
    [EMISSION_GPU_POWER] = "gpu_power",
    [EMISSION_RAM_POWER] = "ram_power",
    [EMISSION_CPU_ENERGY] = "cpu_energy",
    [EMISSION_GPU_ENERGY] = "gpu_energy",
    [EMISSION_RAM_ENERGY] = "ram_energy",
    [EMISSION_ENERGY_CONSUMED] = "energy_consumed",
    [EMISSION_CPU_UTILIZATION] = "cpu_utilization_percent",
    [EMISSION_GPU_UTILIZATION] = "gpu_utilization_percent",
    [EMISSION_RAM_UTILIZATION] = "ram_utilization_percent",
    [EMISSION_WUE] = "wue",
};

int emission_compare(const struct emission *a, const struct emission *b) {
    int order = memcmp(&a->run, &b->run, sizeof a->run);
    if (order != 0)
        return order;
    if (a->timestamp != b->timestamp)
        return a->timestamp < b->timestamp ? -1 : 1;
    return memcmp(&a->id, &b->id, sizeof a->id);
}
