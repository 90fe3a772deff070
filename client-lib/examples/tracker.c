/* A tracker: measures something, every second, and forgets about it.
 *
 *     cc tracker.c $(pkg-config --cflags --libs carbond) -o tracker
 *     CARBOND_URL=http://127.0.0.1:8008 CARBOND_TOKEN=cpt_... CARBOND_EXPERIMENT_ID=... ./tracker 60 */
#include <carbond.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void log_line(void *user, int level, const char *message) {
    (void)user;
    (void)level;
    fprintf(stderr, "tracker: %s\n", message);
}

int main(int argc, char **argv) {
    int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10;
    carbond_options options;
    carbond_client *client = NULL;
    carbond_run *run = NULL;
    carbond_options_init(&options, sizeof options);
    options.log = log_line;
    int code = carbond_open(&options, &client);
    if (code == CARBOND_OK)
        code = carbond_run_start(client, NULL, &run);
    if (code != CARBOND_OK && code != CARBOND_NOT_DURABLE) {
        fprintf(stderr, "tracker: %s\n", carbond_strerror(code));
        return EXIT_FAILURE;
    }
    for (; seconds > 0; seconds--) {
        sleep(1);
        carbond_emission emission;
        carbond_emission_init(&emission, sizeof emission);
        emission.duration = 1;                                  // s
        emission.cpu_power = 42.5;                              // W, as it was measured
        emission.cpu_energy = emission.cpu_power / 1000 / 3600; // kWh
        emission.energy_consumed = emission.cpu_energy;
        emission.emissions_sum = emission.energy_consumed * 0.056; // kg CO2eq: by what the grid emits here
        if (carbond_emit(run, &emission) != CARBOND_OK)
            fprintf(stderr, "tracker: an emission was not accepted\n");
    }
    puts(carbond_run_id(run));
    if (carbond_flush(client, 5000) != CARBOND_OK)
        fprintf(stderr, "tracker: the server is away; what is left is sent by the next start\n");
    return carbond_close(client) == CARBOND_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
